"""GGUF for llama.cpp and the programs built on it (format: docs/gguf.md of ggml), as `gguf` writes.

One file holds weights, shape and vocabulary. The architecture is "llama", or "qwen2" where
attention has a bias. Norms and biases stay float32 in every type.
"""

from pathlib import Path

from gguf import (
    GGML_QUANT_VERSION,
    GGMLQuantizationType,
    GGUFWriter,
    LlamaFileType,
    RopeScalingType,
)
from gguf.quants import quantize

from common.errors import UserError
from interop.gguf.reader import read_gguf
from interop.names import foreign_names
from interop.pieces import read_pieces
from interop.registry import Exported, Weights, export_format
from interop.rope_layout import to_interleaved
from model.config import ModelConfig

MODEL = "model.gguf"
TYPES = {
    "float32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "float16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
}
TABLES = ("embedding", "output")
BLOCK = 32
"""Values that share a scale in Q8_0."""


def read_back(folder: Path) -> tuple[ModelConfig, Weights]:
    """The shape and weights that model.gguf holds, in our own order.

    Raises:
        UserError: the file is damaged.
    """
    return read_gguf(folder / MODEL)


@export_format("gguf", read_back, {"float32": 0.0, "float16": 0.01, "q8_0": 0.1})
def write(exported: Exported, folder: Path) -> None:
    """Write model.gguf.

    Raises:
        UserError: the rows are too odd for Q8_0, or llama.cpp would read text otherwise.
    """
    config = exported.config
    if exported.dtype == "q8_0" and (config.dim % BLOCK or config.hidden_dim % BLOCK):
        raise UserError(
            f"Q8_0 needs rows of a multiple of {BLOCK}, but model.dim is {config.dim} and "
            f"model.hidden_dim {config.hidden_dim}; take --dtype float16"
        )
    # llama.cpp turns neighbouring pairs in llama, and the halves of a head in qwen2.
    arch = "qwen2" if config.attention_bias else "llama"
    weights = exported.weights if arch == "qwen2" else to_interleaved(exported.weights, config)
    kind, file_type = TYPES[exported.dtype]
    writer = GGUFWriter(folder / MODEL, arch)
    writer.add_name(exported.recipe.name)
    writer.add_file_type(file_type)
    writer.add_quantization_version(GGML_QUANT_VERSION)
    add_shape(writer, config)
    add_vocabulary(writer, exported)
    for ours, name in foreign_names(config, "gguf").items():
        values = weights[ours][: config.vocab_size] if ours in TABLES else weights[ours]
        own = kind if values.ndim == 2 else GGMLQuantizationType.F32
        writer.add_tensor(name, quantize(values, own), raw_dtype=own)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_shape(writer: GGUFWriter, config: ModelConfig) -> None:
    """Say how large the network is and how its angles grow."""
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_seq_len)
    writer.add_embedding_length(config.dim)
    writer.add_block_count(config.n_layers)
    writer.add_feed_forward_length(config.hidden_dim)
    writer.add_head_count(config.n_heads)
    writer.add_head_count_kv(config.n_kv_heads)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    if config.rope_scaling != "none":
        writer.add_rope_scaling_type(RopeScalingType(config.rope_scaling))
        writer.add_rope_scaling_factor(config.rope_factor)
    if config.rope_original_len is not None:
        writer.add_rope_scaling_orig_ctx_len(config.rope_original_len)


def add_vocabulary(writer: GGUFWriter, exported: Exported) -> None:
    """List the pieces, and let a text begin as in training.

    There a document follows an <eos>, so that is named as the id to begin with; unless documents
    did not see what stood before them.

    Raises:
        UserError: llama.cpp would give a text other ids.
    """
    config, tokenizer = exported.config, exported.tokenizer
    pieces = read_pieces(tokenizer, config.vocab_size, "llama.cpp")
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(pieces.texts)
    writer.add_token_scores(pieces.scores)
    writer.add_token_types(pieces.kinds)
    writer.add_bos_token_id(tokenizer.eos_id)
    writer.add_eos_token_id(tokenizer.eos_id)
    writer.add_unk_token_id(tokenizer.unk_id)
    # A dialogue begins with its first message; a text after the <eos> of another document.
    writer.add_add_bos_token(not config.document_mask and exported.template is None)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(pieces.dummy_prefix)
    if exported.template:
        writer.add_chat_template(exported.template.jinja(generation=False))
        writer.add_eot_token_id(exported.template.end_ids[0])
