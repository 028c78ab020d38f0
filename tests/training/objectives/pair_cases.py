"""Double rows of random pairs, and a network that is only its hidden states, for formula tests."""

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype

from model.head import Head

ROWS, TIME, WIDTH, V, PAIRS = 4, 24, 16, 40, 3
# Of each pair (begin, first id of the answer, end), chosen and rejected, in two double rows.
PLACES = [
    [[(0, 3, 8), (8, 10, 13)], [(0, 3, 5), (5, 7, 16)]],
    [[(0, 1, 7), (7, 12, 20), (20, 22, 24)], [(0, 1, 4), (4, 9, 10), (10, 12, 17)]],
]


def columns(seed: int = 0) -> dict[str, np.ndarray]:
    """All columns that objectives on pairs take; the places of no pair hold padding."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, V, (ROWS, TIME + 1)).astype(np.int32)
    found = {
        "tokens": ids[:, :-1].copy(),
        "targets": ids[:, 1:].copy(),
        "loss_weight": np.zeros((ROWS, TIME), np.float32),
        "ends": np.zeros((ROWS, TIME), np.float32),
        "segment_ids": np.zeros((ROWS, TIME), np.int32),
        "present": np.zeros((ROWS, PAIRS), np.float32),
        "reference_log_probs": np.zeros((ROWS, PAIRS), np.float32),
    }
    for row, places in enumerate(side for double in PLACES for side in double):
        for pair, (begin, answer, end) in enumerate(places):
            found["loss_weight"][row, answer - 1 : end - 1] = 1
            found["ends"][row, end - 1] = 1
            found["segment_ids"][row, begin:end] = pair
            found["present"][row, pair] = 1
            noise = rng.standard_normal()
            found["reference_log_probs"][row, pair] = noise - 3.7 * (end - answer)
        found["segment_ids"][row, end:] = len(places)
    return found


def answers():
    """(chosen, rejected) of each pair: row, places whose targets are the answer, the last id."""
    for double, (chosen, rejected) in enumerate(PLACES):
        for pair, both in enumerate(zip(chosen, rejected)):
            yield [
                (2 * double + side, pair, slice(answer - 1, end - 1), end - 1)
                for side, (_, answer, end) in enumerate(both)
            ]


class States(nn.Cell):
    """Stands for a network: its hidden states are a Parameter, whatever the tokens are."""

    def __init__(self, native: bool = False):
        super().__init__()
        rng = np.random.default_rng(3)
        for name, shape in (("h", (ROWS * TIME, WIDTH)), ("output", (V, WIDTH))):
            setattr(self, name, Parameter(Tensor(rng.standard_normal(shape).astype(np.float32))))
        self.value_head = Parameter(Tensor(rng.standard_normal(WIDTH).astype(np.float32)))
        self.head = Head(mstype.float32, native)

    def construct(self, tokens, segment_ids, row_keys=None):
        return self.h * 1.0

    def values(self, h):
        return ops.reduce_sum(h * self.value_head, -1)


class Differentiated(nn.Cell):
    """An objective's sums, and the gradients of its loss by h, table and value head."""

    def __init__(self, objective):
        super().__init__(auto_prefix=False)
        network = objective.network
        weights = [network.h, network.output, network.value_head]
        self.grad = ops.value_and_grad(objective, None, weights, has_aux=True)

    def construct(self, *batch):
        return self.grad(*batch)


def differentiate(objective) -> tuple[float, float, list[float], list[np.ndarray]]:
    """Loss, pairs, measures and the three gradients of an objective on `columns`."""
    found = columns()
    batch = [Tensor(found[name]) for name in objective.columns]
    (loss, count, measures), gradients = Differentiated(objective)(*batch)
    return (
        float(loss), float(count), [float(m) for m in measures],
        [gradient.asnumpy() for gradient in gradients],
    )  # fmt: skip
