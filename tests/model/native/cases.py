"""What the tests of the kernels share: values and gradients of a cell and of its plain form."""

import numpy as np
from mindspore import Tensor, nn, ops


class Projected(nn.Cell):
    """Sum of chosen outputs times fixed numbers, so that every entry's gradient differs."""

    def __init__(self, form, sens, tail):
        super().__init__()
        self.form, self.sens, self.tail = form, [Tensor(s) for s in sens], tail

    def construct(self, *inputs):
        outputs = self.form(*inputs, *self.tail)
        if not isinstance(outputs, tuple):
            outputs = (outputs,)
        total = 0.0
        for output, sens in zip(outputs, self.sens):
            total = total + ops.reduce_sum(output * sens)
        return total, outputs


class ValuesAndGradients(nn.Cell):
    def __init__(self, form, sens, positions, tail):
        super().__init__()
        projected = Projected(form, sens, tail)
        self.grad = ops.value_and_grad(projected, positions, None, has_aux=True)

    def construct(self, *inputs):
        (_, values), gradients = self.grad(*inputs)
        return values, gradients if isinstance(gradients, tuple) else (gradients,)


def normal(*shape, seed=0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def evaluate(form, inputs, shapes, n_gradients, tail=()):
    """Values of the outputs that have `shapes`, and gradients of the first inputs, as arrays."""
    sens = [normal(*shape, seed=9) for shape in shapes]
    cell = ValuesAndGradients(form, sens, tuple(range(n_gradients)), tail)
    values, gradients = cell(*map(Tensor, inputs))
    return [x.asnumpy() for x in (*values[: len(shapes)], *gradients)]


def check(native, plain, inputs, shapes, n_gradients, tail=()):
    """Values and gradients agree to 1e-5 of the largest."""
    ours = evaluate(native, inputs, shapes, n_gradients, tail)
    truth = evaluate(plain, inputs, shapes, n_gradients)
    assert len(ours) == len(truth) == len(shapes) + n_gradients
    for a, b in zip(ours, truth):
        close(a, b)


def close(ours, truth):
    assert ours.shape == truth.shape and ours.dtype == truth.dtype == np.float32
    largest = np.abs(truth).max()
    assert largest > 0.1
    assert np.abs(ours - truth).max() <= 1e-5 * largest
