"""RMSNorm (arXiv:1910.07467) over the last axis, computed in float32."""

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from model.device import on_cpu


class RMSNorm(nn.Cell):
    """x / sqrt(mean(x^2) + eps) * weight, for x of shape (rows, D); float32 in, float32 out."""

    def __init__(self, dim: int, eps: float, native: bool = False):
        super().__init__()
        self.weight = Parameter(Tensor(np.ones(dim, np.float32)))
        self.native = native
        if native:
            from model.native.cells import AddNorm, Norm

            self.norm, self.add_norm = Norm(eps), AddNorm(eps)
        else:
            self.norm = rms_norm(dim, eps)

    def construct(self, x):
        """Normalise each row of x, (rows, D)."""
        if self.native:
            return self.norm(x, self.weight)[0]
        return self.norm(x, self.weight)

    def add(self, x, h):
        """(x + h, and each row of it normalised), both (rows, D)."""
        if self.native:
            s, y, _ = self.add_norm(x, h, self.weight)
            return s, y
        s = x + h
        return s, self.norm(s, self.weight)

    def accumulate_into(self, buffer) -> None:
        """Let the native kernels add the gradient to a `GradientBuffer`."""
        for form in (self.norm, self.add_norm):
            form.accumulate(buffer.claim(self.weight))


def rms_norm(dim: int, eps: float) -> nn.Cell:
    """The form of the norm that suits the device target: a cell of (x, weight)."""
    return CpuRMSNorm(dim, eps) if on_cpu() else PlainRMSNorm(eps)


class PlainRMSNorm(nn.Cell):
    """The reference form, from composed operators; its gradient is derived automatically."""

    def __init__(self, eps: float):
        super().__init__()
        self.eps = eps

    def construct(self, x, weight):
        """Normalise x, (rows, D), and scale by weight, (D,)."""
        return x * ops.rsqrt(ops.mean(x * x, -1, True) + self.eps) * weight


class CpuRMSNorm(nn.Cell):
    """The same without a broadcast along the last axis, which is slow and large on the CPU.

    Means over a row are products with a column, spreads along a row are products with a row. With
    r the inverse root mean square of each row and c = mean(dout * weight * x):

        y = x (r weight^T)    dx = dout (r weight^T) - x (r^3 c 1^T)    dweight = r^T (dout * x)
    """

    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.eps, self.dim = eps, dim
        self.column = Tensor(np.full((dim, 1), 1 / dim, np.float32))
        self.row = Tensor(np.ones((1, dim), np.float32))
        self.matmul = ops.MatMul()
        self.transposed = ops.MatMul(transpose_a=True)

    def inverse_rms(self, x):
        """1 / sqrt(mean(x^2) + eps) of each row: (rows, 1)."""
        return ops.rsqrt(self.matmul(x * x, self.column) + self.eps)

    def construct(self, x, weight):
        """Normalise x, (rows, D), and scale by weight, (D,)."""
        return x * self.matmul(self.inverse_rms(x), weight.reshape(1, -1))

    def bprop(self, x, weight, out, dout):
        """Gradients of x and weight."""
        r = self.inverse_rms(x)
        product = dout * x
        c = self.matmul(product, weight.reshape(-1, 1)) / self.dim
        dx = dout * self.matmul(r, weight.reshape(1, -1)) - x * self.matmul(r * r * r * c, self.row)
        return dx, self.transposed(r, product).reshape(-1)
