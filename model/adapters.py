"""Low-rank adapters (LoRA, arXiv:2106.09685): a frozen network with small matrices beside its own.

Of a matrix W, (out, in), only a difference of rank r is trained: W + (alpha / r) B A, with A of
shape (r, in) and B (out, r). B begins as zeros, so an adapted network begins as the one it adapts.
The frozen weights need no gradient and no moments, and a checkpoint holds A and B alone.
"""

import math
import zlib
from collections.abc import Callable, Iterable

import numpy as np
from mindspore import Parameter, Tensor, nn

from model.config import ATTENTION_MATRICES, MATRICES, AdapterConfig, ModelConfig
from model.dropout import Dropout
from model.linear import Linear

Read = Callable[[str], np.ndarray]
"""Gives a weight by its name, float32."""

A, B = "lora_a", "lora_b"
TABLES = ("embedding", "output")


class LoraLinear(nn.Cell):
    """y = x W^T (+ b) + ((alpha / r) d(x) A^T) B^T for x of shape (rows, in); W and b are frozen.

    d is `dropout`, if there is one and keys for it, else nothing; `salt` names this place of use.
    It takes the Parameters of the `Linear` that it stands for, so no weight is held twice.
    """

    def __init__(
        self, linear: Linear, config: AdapterConfig, dropout: Dropout | None = None, salt: int = 0
    ):
        super().__init__()
        self.dropout, self.salt = dropout, salt
        out_dim, in_dim = linear.weight.shape
        self.scale, self.product = config.scale, linear.product
        self.weight, self.bias = linear.weight, linear.bias
        self.low, self.high = linear.another_product(), linear.another_product()
        self.lora_a = Parameter(Tensor(np.zeros((config.rank, in_dim), np.float32)))
        self.lora_b = Parameter(Tensor(np.zeros((out_dim, config.rank), np.float32)))

    def construct(self, x, row_keys=None):
        """Map x, (rows, in) -> (rows, out) in the compute type, dropping by row_keys, (B,)."""
        weights = (self.weight,) if self.bias is None else (self.weight, self.bias)
        kept = x
        if self.dropout is not None and row_keys is not None:
            kept = self.dropout(x, row_keys, self.salt)
        low = self.low(kept, self.lora_a) * self.scale
        return self.product(x, *weights) + self.high(low, self.lora_b)

    def accumulate_into(self, buffer) -> None:
        """Let the native kernels add the gradients to a `GradientBuffer`."""
        self.product.accumulate(buffer.claim(self.weight, self.bias))
        self.low.accumulate(buffer.claim(self.lora_a))
        self.high.accumulate(buffer.claim(self.lora_b))

    def merged_weight(self) -> np.ndarray:
        """W + (alpha / r) B A, the weight of the `Linear` that gives the same: (out, in)."""
        return merged(
            self.weight.asnumpy(), self.lora_a.asnumpy(), self.lora_b.asnumpy(), self.scale
        )


def merged(weight: np.ndarray, a: np.ndarray, b: np.ndarray, scale: float) -> np.ndarray:
    """weight + scale * b a, for weight (out, in), a (r, in) and b (out, r)."""
    return weight + b @ (a * np.float32(scale))


def add_adapters(network: nn.Cell, config: AdapterConfig, seed: int | None = 0) -> None:
    """Freeze a network and put an adapter beside each matrix that `config.targets` names.

    A is uniform in +-1 / sqrt(in), as in the authors' code, from a stream of its own for each
    matrix; B is zero. `seed` None: A is zero too, for values that are put in later.
    """
    dropout = _dropout(network, config.dropout) if config.dropout else None
    salt = 2 * len(network.layers) + 1  # the first that the network's own dropout leaves
    for layer in network.layers:
        for name in MATRICES:
            if name in config.targets:
                part = layer.attention if hasattr(layer.attention, name) else layer.feed_forward
                setattr(part, name, LoraLinear(getattr(part, name), config, dropout, salt))
            salt += 1
    wanted = adapter_shapes(network.config, config)
    for name, parameter in network.parameters_and_names():
        parameter.name = name  # a cell that is put in late names its Parameters from itself on
        parameter.requires_grad = name in wanted
        if name.endswith(A) and seed is not None:
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            bound = parameter.shape[1] ** -0.5
            values = rng.uniform(-bound, bound, parameter.shape).astype(np.float32)
            parameter.set_data(Tensor(values))


def _dropout(network: nn.Cell, rate: float) -> Dropout:
    """One for all adapters of a network: it has codes for the widest of their inputs."""
    model = network.config
    return Dropout(rate, model.max_seq_len, max(model.dim, model.hidden_dim), network.native)


def adapter_shapes(model: ModelConfig, config: AdapterConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what is trained, which is also what a checkpoint of an adapter holds."""
    sizes = {
        "wq": (model.dim, model.dim), "wk": (model.kv_dim, model.dim),
        "wv": (model.kv_dim, model.dim), "wo": (model.dim, model.dim),
        "w1": (model.hidden_dim, model.dim), "w2": (model.dim, model.hidden_dim),
        "w3": (model.hidden_dim, model.dim),
    }  # fmt: skip
    shapes: dict[str, tuple[int, ...]] = {"value_head": (model.dim,)} if model.value_head else {}
    if config.train_embedding:
        for name in TABLES[: 1 if model.tie_embeddings else 2]:
            shapes[name] = (model.padded_vocab_size, model.dim)
    for layer in range(model.n_layers):
        for name in config.targets:
            part = "attention" if name in ATTENTION_MATRICES else "feed_forward"
            out_dim, in_dim = sizes[name]
            shapes[f"layers.{layer}.{part}.{name}.{A}"] = (config.rank, in_dim)
            shapes[f"layers.{layer}.{part}.{name}.{B}"] = (out_dim, config.rank)
        if config.train_norms:
            for norm in ("attention_norm", "ffn_norm"):
                shapes[f"layers.{layer}.{norm}.weight"] = (model.dim,)
    if config.train_norms:
        shapes["norm.weight"] = (model.dim,)
    return shapes


def count_trained(model: ModelConfig, config: AdapterConfig) -> tuple[int, int]:
    """Numbers that are trained: of weights as a whole, and of low-rank matrices beside them."""
    if config.kind == "none":
        return model.n_params(), 0
    shapes = adapter_shapes(model, config)
    low = sum(math.prod(shape) for name, shape in shapes.items() if is_adapter(name))
    return sum(map(math.prod, shapes.values())) - low, low


def training_flops(model: ModelConfig, config: AdapterConfig) -> int:
    """Operations to train on one token, as `ModelConfig.flops_per_token` counts them.

    A frozen weight takes four in place of six, since it has no gradient; groups of G positions
    take 12 N D G in place of 12 N D T.
    """
    group = min(config.attention_group or model.max_seq_len, model.max_seq_len)
    flops = model.flops_per_token(group)
    if config.kind == "none":
        return flops
    whole, low = count_trained(model, config)
    if config.train_embedding and not model.tie_embeddings:
        whole -= model.padded_vocab_size * model.dim  # rows are looked up, not multiplied
    used = model.n_params(embedding=False) + model.padded_vocab_size * model.dim
    return flops - 2 * (used - whole) + 6 * low


def is_adapter(name: str) -> bool:
    """Whether a Parameter of this name is none of the base: an A, a B, or a value head."""
    return name.endswith((f".{A}", f".{B}")) or name == "value_head"


def merge(base: Read, adapter: Read, adapted: Iterable[str], scale: float) -> Read:
    """A reader of the weights that a plain network needs to do what the adapted one does.

    Args:
        base: reads the weights that were adapted.
        adapter: reads what was trained, the names in `adapted`.
        adapted: as `adapter_shapes` gives them.
        scale: alpha / r.
    """
    names = set(adapted)

    def read(name: str) -> np.ndarray:
        if name in names:  # trained as a whole
            return adapter(name)
        stem, dot, last = name.rpartition(".")
        if last != "weight" or f"{stem}{dot}{A}" not in names:
            return base(name)
        return merged(base(name), adapter(f"{stem}.{A}"), adapter(f"{stem}.{B}"), scale)

    return read
