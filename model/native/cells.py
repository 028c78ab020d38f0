"""The kernels as cells of a MindSpore graph, each with its gradient.

All inputs and outputs are float32; `half` makes a cell's products in bfloat16. A cell gives
ordinary gradients, unless `accumulate` said where in a buffer those of its weights are summed: then
they are added there as they are computed, and what it returns for the weights means nothing.
"""

from mindspore import Parameter, Tensor, nn, ops
from mindspore import dtype as mstype

from model.native.library import load
from model.native.rounding import padded


def operator(name: str, shapes, outputs: int = 1) -> ops.Custom:
    """The operator of a kernel with so many float32 outputs, whose shapes follow from its inputs'.

    `shapes` is a function of the inputs' shapes.
    """
    dtypes = mstype.float32 if outputs == 1 else (mstype.float32,) * outputs
    return load().operator(name, shapes, dtypes)


def one_number(*shapes) -> tuple[int]:
    """The shape of a single number, such as the one by which a kernel says that it is done."""
    return (1,)


def scratch(half: bool, *operands) -> tuple[int]:
    """The shape of a product's last output, memory for operands of these shapes, rounded."""
    return (sum(padded(rows * columns) for rows, columns in operands) // 2 if half else 1,)


class Accumulating(nn.Cell):
    """A cell whose weights' gradients may be summed in a `GradientBuffer`.

    The buffer's memory is no Parameter: MindSpore allows none inside a cell's own gradient, and may
    copy one that a graph reads after a kernel wrote to it. The kernels get addresses.
    """

    def __init__(self):
        super().__init__()
        self.accumulates, self.trained, self.places = False, True, None

    def accumulate(self, places: list[int] | None) -> None:
        """Add the gradients of its weights to what is at these addresses; None: it has none."""
        self.accumulates, self.trained = places is not None, places is not None
        self.places = places and Tensor(places, mstype.int64)


class Norm(Accumulating):
    """RMSNorm: (x (R, D), w (D)) -> y (R, D), and what the gradient needs."""

    def __init__(self, eps: float):
        super().__init__()
        self.eps = Tensor([eps], mstype.float32)
        self.forward = operator("norm_forward", lambda x, w, eps: (x, (x[0],)), outputs=2)
        self.backward = operator("norm_backward", lambda x, w, r, dy: (x, w), outputs=2)
        self.adding = operator("norm_accumulate", lambda x, w, r, dy, places: x)

    def construct(self, x, w):
        """Normalise each row of x, and scale by w."""
        return self.forward(x, w, self.eps)

    def bprop(self, x, w, out, dout):
        """Gradients of x and w."""
        if self.accumulates:
            dx = self.adding(x, w, out[1], dout[0], self.places)
            dw = ops.zeros_like(w)
        else:
            dx, dw = self.backward(x, w, out[1], dout[0])
        return dx, dw


class AddNorm(Accumulating):
    """(x (R, D), h (R, D), w (D)) -> x + h, its RMSNorm, and what the gradient needs."""

    def __init__(self, eps: float):
        super().__init__()
        self.eps = Tensor([eps], mstype.float32)
        self.forward = operator("add_norm_forward", lambda x, h, w, eps: (x, x, (x[0],)), outputs=3)
        self.backward = operator("add_norm_backward", lambda s, w, r, ds, dy: (s, w), outputs=2)
        self.adding = operator("add_norm_accumulate", lambda s, w, r, ds, dy, places: s)

    def construct(self, x, h, w):
        """Add h to the residual stream, and normalise that."""
        return self.forward(x, h, w, self.eps)

    def bprop(self, x, h, w, out, dout):
        """Gradients of x, h and w; those of x and h are one."""
        if self.accumulates:
            dx = self.adding(out[0], w, out[2], dout[0], dout[1], self.places)
            dw = ops.zeros_like(w)
        else:
            dx, dw = self.backward(out[0], w, out[2], dout[0], dout[1])
        return dx, dx, dw


class Gate(nn.Cell):
    """silu(a) b: (a (R, F), b (R, F)) -> (R, F)."""

    def __init__(self):
        super().__init__()
        self.forward = operator("gate_forward", lambda a, b: a)
        self.backward = operator("gate_backward", lambda a, b, dy: (a, a), outputs=2)

    def construct(self, a, b):
        """Gate b by a."""
        return self.forward(a, b)

    def bprop(self, a, b, out, dout):
        """Gradients of a and b."""
        return self.backward(a, b, dout)


class Attention(nn.Cell):
    """Rotary and causal attention: queries (B T, H C), keys and values (B T, K C), not rotated,
    cosines and sines (T, C/2), and document numbers (B T) -> (B T, H C), and the logarithms of the
    rows' sums.

    Args:
        n_heads: query heads H.
        head_dim: head size C.
        documents: whether attention stays within a document.
    """

    def __init__(self, n_heads: int, head_dim: int, documents: bool):
        super().__init__()
        name = "document_attention" if documents else "attention"
        self.documents = documents

        def outputs(q, k, v, cos, *others):
            return q, (q[0] * n_heads,)

        self.forward = operator(f"{name}_forward", outputs, outputs=2)
        self.backward = operator(f"{name}_backward", lambda q, k, *others: (q, k, k), outputs=3)

    def construct(self, q, k, v, cos, sin, segments):
        """Attend."""
        if self.documents:
            return self.forward(q, k, v, cos, sin, segments)
        return self.forward(q, k, v, cos, sin)

    def bprop(self, q, k, v, cos, sin, segments, out, dout):
        """Gradients of queries, keys and values."""
        inputs = (q, k, v, cos, sin)
        if self.documents:
            inputs = inputs + (segments,)
        dq, dk, dv = self.backward(*inputs, out[0], out[1], dout[0])
        return dq, dk, dv, ops.zeros_like(cos), ops.zeros_like(sin), ops.zeros_like(segments)


class Embedding(Accumulating):
    """Rows of a table: (table (V, D), ids (R), start (1)) -> (R, D).

    The gradient of `start` is a number that is known when all gradients are in the buffer: those of
    the embedding are the last.
    """

    def __init__(self):
        super().__init__()
        self.start = Tensor([0], mstype.float32)
        self.rows = ops.Gather()
        self.backward = operator("scatter", lambda dx, ids, table: table)
        self.adding = operator("scatter_accumulate", lambda dx, ids, places: (1,))

    def set_start(self, start: Parameter) -> None:
        """Whose gradient says that all others are in the buffer."""
        object.__setattr__(self, "start", start)

    def construct(self, table, ids, start):
        """Look ids up."""
        return self.rows(table, ids, 0)

    def bprop(self, table, ids, start, out, dout):
        """Gradients of the table, and of `start`."""
        if not self.trained:
            done, dtable = ops.depend(ops.zeros_like(start), dout), ops.zeros_like(table)
        elif self.accumulates:
            done, dtable = self.adding(dout, ids, self.places), ops.zeros_like(table)
        else:
            done, dtable = ops.zeros_like(start), self.backward(dout, ids, table)
        return dtable, ops.zeros_like(ids), done


class Drop(nn.Cell):
    """Dropout by counters: (x (B T, D), codes (1, T D), keys (B)) -> (B T, D).

    Args:
        threshold: elements whose code times key is below it are dropped, int32.
        scale: of the others.
    """

    def __init__(self, threshold: int, scale: float):
        super().__init__()
        self.threshold = Tensor([threshold], mstype.int32)
        self.scale = Tensor([scale], mstype.float32)
        self.forward = operator("drop", lambda x, codes, keys, threshold, scale: x)

    def construct(self, x, codes, keys):
        """Drop elements of x."""
        return self.forward(x, codes, keys, self.threshold, self.scale)

    def bprop(self, x, codes, keys, out, dout):
        """Gradient of x."""
        dx = self.forward(dout, codes, keys, self.threshold, self.scale)
        return dx, ops.zeros_like(codes), ops.zeros_like(keys)
