"""SwiGLU feed-forward (arXiv:2002.05202)."""

from mindspore import nn, ops

from model.device import on_cpu
from model.linear import Linear, shared_input


class FeedForward(nn.Cell):
    """w2(silu(w1 x) * w3 x), for x of shape (rows, D)."""

    def __init__(
        self, dim: int, hidden_dim: int, compute_dtype, dense=Linear, native: bool = False
    ):
        super().__init__()
        self.w1 = dense(dim, hidden_dim, compute_dtype)
        self.w2 = dense(hidden_dim, dim, compute_dtype)
        self.w3 = dense(dim, hidden_dim, compute_dtype)
        self.gate = swiglu(native)
        self.gate_and_up = None

    def construct(self, x, row_keys=None):
        """Map x, (rows, D) -> (rows, D); adapters drop by row_keys, (B,)."""
        if self.gate_and_up is not None:
            a, b = self.gate_and_up(x, (self.w1.weight, self.w3.weight))
        else:
            a, b = self.w1(x, row_keys), self.w3(x, row_keys)
        return self.w2(self.gate(a, b), row_keys)

    def accumulate_into(self, buffer) -> None:
        """Let the native kernels sum the gradient of x as they add those of the weights."""
        self.gate_and_up = shared_input((self.w1, self.w3), buffer)


def swiglu(native: bool = False) -> nn.Cell:
    """The form of the gate that suits the device target: a cell of (a, b)."""
    if native:
        from model.native.cells import Gate

        return Gate()
    return CpuSwiGLU() if on_cpu() else PlainSwiGLU()


class PlainSwiGLU(nn.Cell):
    """The reference form: silu(a) * b, its gradient derived automatically."""

    def construct(self, a, b):
        """Gate b by a, both (rows, F)."""
        return a * ops.sigmoid(a) * b


class CpuSwiGLU(PlainSwiGLU):
    """The same with fewer passes over memory in the gradient.

    With s = sigmoid(a) and y = a s b: dy/da = y + s (b - y), a linear interpolation, and
    dy/db = a s.
    """

    def bprop(self, a, b, out, dout):
        """Gradients of a and b."""
        s = ops.sigmoid(a)
        return dout * ops.lerp(out, b, s), dout * (a * s)
