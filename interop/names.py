"""The parameter-name table, once: ours, Hugging Face's, GGUF's and MindFormers' legacy Llama's."""

from typing import Literal, NamedTuple

from common.errors import UserError
from model.config import ModelConfig

Dialect = Literal["hf", "gguf", "mindformers"]
Shapes = dict[str, tuple[int, ...]]


class Names(NamedTuple):
    """What one parameter is called; {n} is the number of the block, from 0."""

    ours: str
    hf: str
    gguf: str
    mindformers: str


EMBEDDING = Names(
    "embedding",
    "model.embed_tokens.weight",
    "token_embd.weight",
    "model.tok_embeddings.embedding_weight",
)
NORM = Names("norm.weight", "model.norm.weight", "output_norm.weight", "model.norm_out.weight")
OUTPUT = Names("output", "lm_head.weight", "output.weight", "lm_head.weight")


def _block(ours: str, hf: str, gguf: str) -> Names:
    prefixes = ("layers.{n}.", "model.layers.{n}.", "blk.{n}.", "model.layers.{n}.")
    return Names(*(prefix + name for prefix, name in zip(prefixes, (ours, hf, gguf, ours))))


BLOCK = (
    _block("attention_norm.weight", "input_layernorm.weight", "attn_norm.weight"),
    _block("attention.wq.weight", "self_attn.q_proj.weight", "attn_q.weight"),
    _block("attention.wk.weight", "self_attn.k_proj.weight", "attn_k.weight"),
    _block("attention.wv.weight", "self_attn.v_proj.weight", "attn_v.weight"),
    _block("attention.wo.weight", "self_attn.o_proj.weight", "attn_output.weight"),
    _block("ffn_norm.weight", "post_attention_layernorm.weight", "ffn_norm.weight"),
    _block("feed_forward.w1.weight", "mlp.gate_proj.weight", "ffn_gate.weight"),
    _block("feed_forward.w2.weight", "mlp.down_proj.weight", "ffn_down.weight"),
    _block("feed_forward.w3.weight", "mlp.up_proj.weight", "ffn_up.weight"),
)
# With attention bias only.
BIASES = (
    _block("attention.wq.bias", "self_attn.q_proj.bias", "attn_q.bias"),
    _block("attention.wk.bias", "self_attn.k_proj.bias", "attn_k.bias"),
    _block("attention.wv.bias", "self_attn.v_proj.bias", "attn_v.bias"),
)


def foreign_names(config: ModelConfig, dialect: Dialect) -> dict[str, str]:
    """Our name of each parameter of a network -> its name elsewhere."""
    block = BLOCK + BIASES if config.attention_bias else BLOCK
    names = {EMBEDDING.ours: getattr(EMBEDDING, dialect)}
    for n in range(config.n_layers):
        names |= {name.ours.format(n=n): getattr(name, dialect).format(n=n) for name in block}
    names[NORM.ours] = getattr(NORM, dialect)
    if not config.tie_embeddings:
        names[OUTPUT.ours] = getattr(OUTPUT, dialect)
    return names


def parameter_shapes(config: ModelConfig) -> Shapes:
    """Our name of each parameter of a network -> its shape; dense weights are (out, in)."""
    dim, kv_dim, hidden = config.dim, config.kv_dim, config.hidden_dim
    block = {
        "attention_norm.weight": (dim,),
        "attention.wq.weight": (dim, dim),
        "attention.wk.weight": (kv_dim, dim),
        "attention.wv.weight": (kv_dim, dim),
        "attention.wo.weight": (dim, dim),
        "ffn_norm.weight": (dim,),
        "feed_forward.w1.weight": (hidden, dim),
        "feed_forward.w2.weight": (dim, hidden),
        "feed_forward.w3.weight": (hidden, dim),
        "attention.wq.bias": (dim,),
        "attention.wk.bias": (kv_dim,),
        "attention.wv.bias": (kv_dim,),
    }
    table = (config.padded_vocab_size, dim)
    whole = {"embedding": table, "output": table, "norm.weight": (dim,)}
    shapes = {
        name: whole[name] if name in whole else block[name.split(".", 2)[2]]
        for name in foreign_names(config, "hf")
    }
    return shapes | ({"value_head": (dim,)} if config.value_head else {})


def check_shapes(found: Shapes, wanted: Shapes, source: object) -> None:
    """Make sure that `source` has exactly the tensors of a model, none more, none less.

    Raises:
        UserError: names the first tensor that is missing, too many or of another shape.
    """
    for name in sorted(wanted.keys() - found.keys()):
        raise UserError(f"{source}: tensor {name} is missing; fetch or export the model again")
    for name in sorted(found.keys() - wanted.keys()):
        raise UserError(
            f"{source}: tensor {name} has no place in the model that it describes; "
            "only models of Llama or Qwen2 form can be read"
        )
    for name, shape in wanted.items():
        if tuple(found[name]) != shape:
            raise UserError(
                f"{source}: tensor {name} has shape {tuple(found[name])}, but the sizes in "
                f"its configuration require {shape}; fetch or export the model again"
            )
