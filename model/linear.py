"""A dense layer with float32 weights and products in the compute type."""

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype


class Linear(nn.Cell):
    """y = x W^T (+ b) for x of shape (rows, in); W is (out, in), as in Hugging Face's files.

    The weight stays float32; it and x are cast to `compute_dtype` for the product, so that one
    master copy serves every precision.
    """

    def __init__(
        self, in_dim: int, out_dim: int, compute_dtype, bias: bool = False, native: bool = False
    ):
        super().__init__()
        self.compute_dtype, self.native = compute_dtype, native
        self.weight = Parameter(Tensor(np.zeros((out_dim, in_dim), np.float32)))
        self.bias = Parameter(Tensor(np.zeros(out_dim, np.float32))) if bias else None
        self.product = product(compute_dtype, bias, native)

    def construct(self, x, row_keys=None):
        """Map x, (rows, in) -> (rows, out) in the compute type; an adapter drops by row_keys."""
        if self.bias is None:
            return self.product(x, self.weight)
        return self.product(x, self.weight, self.bias)

    def another_product(self) -> nn.Cell:
        """The form of a product beside this one, without a bias."""
        return product(self.compute_dtype, False, self.native)

    def accumulate_into(self, buffer) -> None:
        """Let the native kernels add the gradients to a `GradientBuffer`."""
        self.product.accumulate(buffer.claim(self.weight, self.bias))


def shared_input(layers, buffer) -> nn.Cell | None:
    """A cell of (x, tuple of weights) that multiplies one x by the matrices of all these layers.

    It adds the gradients of the matrices to a `GradientBuffer`. None, if a layer is not trained, or
    more than a matrix: each is then called by itself.
    """
    if any(type(layer) is not Linear or layer.bias is not None for layer in layers):
        return None
    places = buffer.claim(*(layer.weight for layer in layers))
    if places is None:
        return None
    from model.native.linear_cells import SharedInput

    shared = SharedInput(len(layers), layers[0].compute_dtype == mstype.bfloat16)
    shared.accumulate(places)
    return shared


def product(compute_dtype, bias: bool, native: bool) -> nn.Cell:
    """The product's form: a cell of (x, weight), or of (x, weight, bias).

    The native one takes and gives float32 in any compute type.
    """
    if native:
        from model.native.linear_cells import BiasProduct, Product

        half = compute_dtype == mstype.bfloat16
        return BiasProduct(half) if bias else Product(half)
    return PlainBiasProduct(compute_dtype) if bias else PlainProduct(compute_dtype)


class PlainProduct(nn.Cell):
    """The reference form, its gradient derived automatically."""

    def __init__(self, compute_dtype):
        super().__init__()
        self.compute_dtype = compute_dtype
        self.matmul = ops.MatMul(transpose_b=True)

    def construct(self, x, weight):
        """x W^T."""
        return self.matmul(x.astype(self.compute_dtype), weight.astype(self.compute_dtype))


class PlainBiasProduct(PlainProduct):
    """The same with a bias."""

    def construct(self, x, weight, bias):
        """x W^T + b."""
        y = self.matmul(x.astype(self.compute_dtype), weight.astype(self.compute_dtype))
        return y + bias.astype(self.compute_dtype)
