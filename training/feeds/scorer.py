"""What a network says of rows, without a gradient: log-probabilities of targets, and values."""

import numpy as np
from mindspore import Tensor, nn

from model.head import token_log_probs
from model.llama import Llama


class Scorer(nn.Cell):
    """Called with columns of rows, (B, T) each, returns (B, T) float32."""

    def __init__(self, network: Llama):
        super().__init__(auto_prefix=False)
        self.network = network

    def of(self, *columns: np.ndarray, batch: int) -> np.ndarray:
        """The same for numpy arrays of any number of rows, `batch` of them at a time."""
        parts = []
        for begin in range(0, len(columns[0]), batch):
            part = [column[begin : begin + batch] for column in columns]
            missing = batch - len(part[0])
            part = [np.concatenate([c, np.repeat(c[:1], missing, 0)]) for c in part]
            parts.append(self(*map(Tensor, part)).asnumpy()[: batch - missing])
        return np.concatenate(parts)


class TargetLogProbs(Scorer):
    """Called with tokens, targets and segment_ids, (B, T) int32, returns (B, T) float32, nats."""

    def __init__(self, network: Llama):
        super().__init__(network)
        self.log_probs = token_log_probs(network.head)

    def construct(self, tokens, targets, segment_ids):
        """Log-probability of each target."""
        h = self.network(tokens, segment_ids)
        found = self.log_probs(h, self.network.output, targets.reshape(-1))
        return found.reshape(targets.shape)


class StateValues(Scorer):
    """Called with tokens and segment_ids, (B, T) int32, returns (B, T) float32."""

    def construct(self, tokens, segment_ids):
        """The value head's number after each token, before the next one is chosen."""
        return self.network.values(self.network(tokens, segment_ids)).reshape(tokens.shape)
