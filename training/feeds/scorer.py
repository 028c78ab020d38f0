"""What a network says of rows, without a gradient: log-probabilities of targets, in batches."""

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


def in_batches(cell: nn.Cell, *columns: np.ndarray, batch: int) -> np.ndarray:
    """What a cell returns for columns of any number of rows, `batch` of them at a time."""
    parts = []
    for begin in range(0, len(columns[0]), batch):
        part = [column[begin : begin + batch] for column in columns]
        missing = batch - len(part[0])
        part = [np.concatenate([c, np.repeat(c[:1], missing, 0)]) for c in part]
        parts.append(cell(*map(Tensor, part)).asnumpy()[: batch - missing])
    return np.concatenate(parts)
