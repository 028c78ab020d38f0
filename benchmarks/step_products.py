"""The products of a training step alone: the limit that the step is held against.

Linear layers one after the other, and one chunk of the output layer, with their gradients of inputs
and weights, in the graph and by the kernels of linear layers, and nothing between them.
"""

import time

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from model.config import ModelConfig
from model.linear import product
from model.native.loss_cells import chunk_rows

REPEATS = 5


class Chain(nn.Cell):
    """x -> ... W2 (W1 x): products of matrices of these shapes, each (out, in)."""

    def __init__(self, shapes, dtype, native: bool):
        super().__init__()
        rng = np.random.default_rng(0)
        arrays = [rng.standard_normal(shape, np.float32) / shape[1] ** 0.5 for shape in shapes]
        self.weights = [Parameter(Tensor(array), name=f"w{i}") for i, array in enumerate(arrays)]
        self.products = nn.CellList([product(dtype, False, native) for _ in shapes])

    def construct(self, x):
        """Multiply by all of them."""
        for multiply, weight in zip(self.products, self.weights):
            x = multiply(x, weight)
        return x


class Passes(nn.Cell):
    """A chain's output, and the gradient of its input; those of its weights are computed too.

    No product's gradient looks at its output: were that not given, it would not be computed.
    """

    def __init__(self, chain: Chain):
        super().__init__()
        self.chain, self.gradient = chain, ops.GradOperation(sens_param=True)

    def construct(self, x, sens):
        """From the gradient of the output."""
        return self.chain(x), self.gradient(self.chain)(x, sens)


def products_alone(model: ModelConfig, rows: int, dtype, native: bool) -> float:
    """Seconds that the linear layers and the output layer take for `rows` positions.

    The products of attention are not among them.
    """
    dim, hidden = model.dim, model.hidden_dim
    square, up, down = (dim, dim), (hidden, dim), (dim, hidden)
    blocks = ([square] * 4 + [up, down]) * model.n_layers
    # The gate's other matrices, every second one turned, since a chain goes up and down.
    blocks += [up, down] * (model.n_layers // 2)
    table = (model.padded_vocab_size, dim)
    # The logits of that many rows stay nearest to the caches.
    chunk = chunk_rows(rows, table[0], half=True)
    seconds = best_time(Chain(blocks, dtype, native), rows)
    return seconds + best_time(Chain([table], dtype, native), chunk) * rows / chunk


def best_time(chain: Chain, rows: int) -> float:
    """Seconds of a chain's forward and backward pass, the least of REPEATS."""
    x = Tensor(np.ones((rows, chain.weights[0].shape[1]), np.float32))
    sens = Tensor(np.ones((rows, chain.weights[-1].shape[0]), np.float32))
    passes, seconds = Passes(chain), []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        passes(x, sens)[1].asnumpy()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
