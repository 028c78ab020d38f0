"""The kernels of linear layers as cells; see model/native/linear.py."""

from mindspore import ops

from model.native.cells import Accumulating, operator, scratch
from model.native.library import HALF_NAME


class Product(Accumulating):
    """x W^T: (x (R, I), W (O, I)) -> (R, O)."""

    def __init__(self, half: bool = False):
        super().__init__()
        prefix = f"linear{HALF_NAME * half}"
        self.forward = operator(
            f"{prefix}_forward", lambda x, w: ((x[0], w[0]), scratch(half, x, w)), outputs=2
        )
        self.backward = operator(
            f"{prefix}_backward", lambda dy, x, w: (x, w, scratch(half, dy, x, w)), outputs=3
        )
        self.adding = operator(
            f"{prefix}_accumulate", lambda dy, x, w, places: (x, scratch(half, dy, x, w)), outputs=2
        )
        self.frozen = operator(
            f"{prefix}_frozen", lambda dy, w: ((dy[0], w[1]), scratch(half, dy, w)), outputs=2
        )

    def construct(self, x, w):
        """Map x."""
        return self.forward(x, w)[0]

    def bprop(self, x, w, out, dout):
        """Gradients of x and W."""
        if not self.trained:
            dx, dw = self.frozen(dout, w)[0], ops.zeros_like(w)
        elif self.accumulates:
            dx, dw = self.adding(dout, x, w, self.places)[0], ops.zeros_like(w)
        else:
            dx, dw, _ = self.backward(dout, x, w)
        return dx, dw


class BiasProduct(Accumulating):
    """x W^T + b: (x (R, I), W (O, I), b (O)) -> (R, O)."""

    def __init__(self, half: bool = False):
        super().__init__()
        prefix = f"linear_bias{HALF_NAME * half}"
        self.forward = operator(
            f"{prefix}_forward", lambda x, w, b: ((x[0], w[0]), scratch(half, x, w)), outputs=2
        )
        self.backward = operator(
            f"{prefix}_backward",
            lambda dy, x, w: (x, w, (w[0],), scratch(half, dy, x, w)),
            outputs=4,
        )
        self.adding = operator(
            f"{prefix}_accumulate", lambda dy, x, w, places: (x, scratch(half, dy, x, w)), outputs=2
        )
        self.frozen = operator(
            f"{prefix}_frozen", lambda dy, w: ((dy[0], w[1]), scratch(half, dy, w)), outputs=2
        )

    def construct(self, x, w, b):
        """Map x."""
        return self.forward(x, w, b)[0]

    def bprop(self, x, w, b, out, dout):
        """Gradients of x, W and b."""
        if not self.trained:
            dx, dw, db = self.frozen(dout, w)[0], ops.zeros_like(w), ops.zeros_like(b)
        elif self.accumulates:
            dx = self.adding(dout, x, w, self.places)[0]
            dw, db = ops.zeros_like(w), ops.zeros_like(b)
        else:
            dx, dw, db, _ = self.backward(dout, x, w)
        return dx, dw, db


class SharedInput(Accumulating):
    """Several products x W_i^T of one x: (x (R, I), all W_i (O_i, I)) -> all (R, O_i).

    Their gradients go to a `GradientBuffer`, where `accumulate` says; that of x is summed as it is
    computed, and not from n tensors afterwards.
    """

    def __init__(self, n: int, half: bool = False):
        super().__init__()
        self.n, prefix = n, f"linear{HALF_NAME * half}"

        def products(x, *weights):
            return *((x[0], w[0]) for w in weights), scratch(half, x, *weights)

        def gradient(*inputs):
            return inputs[n], scratch(half, *inputs[: 2 * n + 1])

        self.forward = operator(f"{prefix}_forward_{n}", products, outputs=n + 1)
        self.adding = operator(f"{prefix}_accumulate_{n}", gradient, outputs=2)

    def construct(self, x, weights):
        """Map x."""
        return self.forward(x, *weights)[: self.n]

    def bprop(self, x, weights, out, dout):
        """Gradient of x; those of the weights are in the buffer."""
        dx = self.adding(*dout, x, *weights, self.places)[0]
        zeros = ()
        for w in weights:
            zeros = zeros + (ops.zeros_like(w),)
        return dx, zeros
