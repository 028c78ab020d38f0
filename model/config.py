"""The shape of a Llama2, what can be counted from the shape alone, and how it is adapted."""

from dataclasses import dataclass, field
from typing import Literal

from common.ranges import check_range

HIDDEN_MULTIPLE = 32
VOCAB_MULTIPLE = 64
ATTENTION_MATRICES = ("wq", "wk", "wv", "wo")
"""query, key, value, output"""
FEED_FORWARD_MATRICES = ("w1", "w2", "w3")
"""gate, down, up"""
MATRICES = ATTENTION_MATRICES + FEED_FORWARD_MATRICES


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is not below `value`."""
    return -(-value // multiple) * multiple


@dataclass(frozen=True)
class ModelConfig:
    """Shape of the network; covers Llama2, TinyLlama and Qwen1.5."""

    dim: int = 288
    """width D of the residual stream"""
    n_layers: int = 6
    """number of blocks N"""
    n_heads: int = 6
    """query heads H; the head size C is dim / n_heads"""
    n_kv_heads: int | None = None
    """key-value heads K (grouped-query attention); null: as many as n_heads"""
    hidden_dim: int | None = None
    """width F of the feed-forward; null: 8/3 dim rounded up to a multiple of 32"""
    max_seq_len: int = 256
    """context length T in tokens"""
    vocab_size: int | None = None
    """ids the model can emit; null: the tokenizer's"""
    rope_theta: float = 10000.0
    """base of the rotary embedding's angles"""
    rope_scaling: Literal["none", "linear", "ntk", "yarn"] = "none"
    """how the angles are stretched to a longer context than the model was pretrained for"""
    rope_factor: float = 1.0
    """how many times longer the context is than the one of pretraining"""
    rope_original_len: int | None = None
    """context length of pretraining, for yarn; null: max_seq_len / rope_factor"""
    norm_eps: float = 1e-5
    """added under the root of RMSNorm"""
    tie_embeddings: bool = True
    """the output layer shares the embedding table"""
    attention_bias: bool = False
    """query, key and value projections have a bias (Qwen form)"""
    document_mask: bool = False
    """attention does not look across document boundaries"""
    dropout: float = 0.0
    """share of the outputs of embedding, attention and feed-forward that is dropped in training"""
    value_head: bool = False
    """a number for each token beside the logits, as a reward model has it; the objective sets it"""

    def __post_init__(self):
        """Fill in derived sizes and reject impossible shapes.

        Raises:
            ValueError: names the field that is wrong and what it must be.
        """
        if self.n_kv_heads is None:
            object.__setattr__(self, "n_kv_heads", self.n_heads)
        if self.hidden_dim is None:
            object.__setattr__(self, "hidden_dim", round_up(8 * self.dim // 3, HIDDEN_MULTIPLE))
        for name in ("dim", "n_layers", "n_heads", "n_kv_heads", "hidden_dim", "max_seq_len"):
            check_range(f"model.{name}", getattr(self, name), "[1, 1000000]")
        if self.vocab_size is not None:
            check_range("model.vocab_size", self.vocab_size, "[1, 2147483647]")
        check_range("model.dropout", self.dropout, "[0, 1)")
        check_range("model.rope_theta", self.rope_theta, "(0, inf)")
        check_range("model.norm_eps", self.norm_eps, "(0, inf)")
        if self.dim % (2 * self.n_heads):
            raise ValueError(
                f"model.dim is {self.dim}; with model.n_heads {self.n_heads} "
                f"it must be a multiple of {2 * self.n_heads}, so that heads have an even size"
            )
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"model.n_kv_heads is {self.n_kv_heads}; "
                f"it must divide model.n_heads {self.n_heads}"
            )
        self._check_rope_scaling()

    def _check_rope_scaling(self):
        kind, factor, original = self.rope_scaling, self.rope_factor, self.rope_original_len
        if kind not in ("none", "linear", "ntk", "yarn"):
            raise ValueError(f"model.rope_scaling is {kind}; it must be none, linear, ntk or yarn")
        check_range("model.rope_factor", factor, "[1, inf)")
        if original is not None:
            check_range("model.rope_original_len", original, "[1, inf)")
        if kind == "none" and factor != 1:
            raise ValueError(
                f"model.rope_factor is {factor}, but model.rope_scaling is none; "
                "choose linear, ntk or yarn"
            )
        if kind == "ntk" and self.head_dim == 2:
            raise ValueError("model.rope_scaling is ntk, which needs heads of more than 2 numbers")
        if original is not None and kind != "yarn":
            raise ValueError("model.rope_original_len is for model.rope_scaling yarn")

    @property
    def head_dim(self) -> int:
        """Head size C."""
        return self.dim // self.n_heads

    @property
    def kv_dim(self) -> int:
        """Width of all key (or value) heads together, K * C."""
        return self.n_kv_heads * self.head_dim

    @property
    def padded_vocab_size(self) -> int:
        """Rows V of the embedding table: `vocab_size` padded to a multiple of 64."""
        if self.vocab_size is None:
            raise ValueError("model.vocab_size is not known yet; it comes from the tokenizer")
        return round_up(self.vocab_size, VOCAB_MULTIPLE)

    def n_params(self, embedding: bool = True) -> int:
        """Trainable parameters, a tied table once; `embedding=False`: blocks and norms only."""
        attention = 2 * self.dim * (self.dim + self.kv_dim)
        if self.attention_bias:
            attention += self.dim + 2 * self.kv_dim
        block = attention + 3 * self.dim * self.hidden_dim + 2 * self.dim
        tables = 1 if self.tie_embeddings else 2
        table_params = tables * self.padded_vocab_size * self.dim if embedding else 0
        value_params = self.dim if self.value_head else 0
        return self.n_layers * block + self.dim + value_params + table_params

    def flops_per_token(self, seq_len: int | None = None) -> int:
        """Floating-point operations to train on one token, forward and backward.

        Six per weight that takes part in a matrix product (the output layer does, the embedding
        look-up does not) and 12 * N * D * T for the attention products over a full context T
        (appendix B of PaLM, arXiv:2204.02311).
        """
        seq_len = seq_len or self.max_seq_len
        weights = self.n_params(embedding=False) + self.padded_vocab_size * self.dim
        return 6 * weights + 12 * self.n_layers * self.dim * seq_len


@dataclass(frozen=True)
class AdapterConfig:
    """What of a trained model is trained further: all of it, or small matrices beside it."""

    kind: Literal["none", "lora"] = "none"
    """none: all weights are trained; lora: they are frozen, with low-rank matrices beside them"""
    rank: int = 8
    """rows r of a low-rank matrix"""
    alpha: float = 16.0
    """the low-rank product is scaled by alpha / rank"""
    dropout: float = 0.0
    """share of the low-rank product's inputs that is dropped in training"""
    targets: list[str] = field(default_factory=lambda: list(MATRICES))
    """which matrices of a block are adapted, of wq, wk, wv, wo, w1, w2, w3"""
    train_embedding: bool = False
    """with lora: the embedding and the output table are trained as well (LongLoRA)"""
    train_norms: bool = False
    """with lora: the norms are trained as well (LongLoRA)"""
    attention_group: int | None = None
    """tokens G that attend to each other in training (shifted sparse attention); null: all"""

    def __post_init__(self):
        """Reject what cannot be trained.

        Raises:
            ValueError: names the field that is wrong and what it must be.
        """
        if self.kind not in ("none", "lora"):
            raise ValueError(f"adapter.kind is {self.kind}; it must be none or lora")
        if self.rank < 1:
            raise ValueError(f"adapter.rank is {self.rank}; it must be at least 1")
        if not self.alpha > 0:
            raise ValueError(f"adapter.alpha is {self.alpha}; it must be positive")
        check_range("adapter.dropout", self.dropout, "[0, 1)")
        for name in self.targets:
            if name not in MATRICES:
                raise ValueError(
                    f"adapter.targets names {name}, which no block has; "
                    f"it may name {', '.join(MATRICES)}"
                )
        if not self.targets or len(set(self.targets)) < len(self.targets):
            raise ValueError("adapter.targets must name at least one matrix, each of them once")
        if self.kind == "none" and (self.train_embedding or self.train_norms):
            raise ValueError(
                "adapter.train_embedding and adapter.train_norms are for adapter.kind lora; "
                "without an adapter all weights are trained"
            )
        if self.kind == "none" and self.dropout:
            raise ValueError(
                f"adapter.dropout is {self.dropout}, but adapter.kind is none; choose lora, or set "
                "model.dropout"
            )
        group = self.attention_group
        if group is not None and (group < 2 or group % 2):
            raise ValueError(
                f"adapter.attention_group is {group}; it must be null or an even number"
            )

    @property
    def scale(self) -> float:
        """What the low-rank product is multiplied by, alpha / r."""
        return self.alpha / self.rank
