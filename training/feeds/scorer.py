"""Log-probabilities of given targets under a network, without a gradient."""

import numpy as np
from mindspore import Tensor, nn

from model.head import token_log_probs
from model.llama import Llama


class TargetLogProbs(nn.Cell):
    """Called with tokens, targets and segment_ids, (B, T) int32, returns (B, T) float32, nats."""

    def __init__(self, network: Llama):
        super().__init__(auto_prefix=False)
        self.network, self.log_probs = network, token_log_probs(network.head)

    def construct(self, tokens, targets, segment_ids):
        """Log-probability of each target."""
        h = self.network(tokens, segment_ids)
        found = self.log_probs(h, self.network.output, targets.reshape(-1))
        return found.reshape(targets.shape)

    def of(self, tokens, targets, segment_ids, batch: int) -> np.ndarray:
        """The same for numpy arrays of any number of rows, `batch` of them at a time."""
        parts = []
        for begin in range(0, len(tokens), batch):
            part = slice(begin, begin + batch)
            columns = [column[part] for column in (tokens, targets, segment_ids)]
            missing = batch - len(columns[0])
            columns = [np.concatenate([c, np.repeat(c[:1], missing, 0)]) for c in columns]
            parts.append(self(*map(Tensor, columns)).asnumpy()[: batch - missing])
        return np.concatenate(parts)
