"""A dense layer with float32 weights and products in the compute type."""

import numpy as np
from mindspore import Parameter, Tensor, nn, ops


class Linear(nn.Cell):
    """y = x W^T (+ b) for x of shape (rows, in); W is (out, in), as in Hugging Face's files.

    The weight stays float32; it and x are cast to `compute_dtype` for the product, so that one
    master copy serves every precision.
    """

    def __init__(self, in_dim: int, out_dim: int, compute_dtype, bias: bool = False):
        super().__init__()
        self.compute_dtype = compute_dtype
        self.weight = Parameter(Tensor(np.zeros((out_dim, in_dim), np.float32)))
        self.bias = Parameter(Tensor(np.zeros(out_dim, np.float32))) if bias else None
        self.matmul = ops.MatMul(transpose_b=True)

    def construct(self, x):
        """Map x, (rows, in) -> (rows, out) in the compute type."""
        y = self.matmul(x.astype(self.compute_dtype), self.weight.astype(self.compute_dtype))
        if self.bias is not None:
            y = y + self.bias.astype(self.compute_dtype)
        return y
