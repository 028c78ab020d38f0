"""GGUF files: what the `gguf` package writes is read alike, and files that lie are refused."""

import struct

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from common.errors import UserError
from interop.gguf.file import GGUFFile
from interop.gguf.reader import read_gguf

LLAMA = {
    "embedding_length": 8,
    "block_count": 1,
    "attention.head_count": 2,
    "attention.head_count_kv": 1,
    "feed_forward_length": 12,
    "context_length": 16,
}


def write(path, tensors, fields=(), types=None, arch="llama"):
    writer = gguf.GGUFWriter(path, arch)
    for name, value in dict(fields).items():
        kind = writer.add_uint32 if isinstance(value, int) else writer.add_float32
        kind(f"{arch}.{name}", value)
    for name, value in tensors.items():
        writer.add_tensor(name, value, raw_dtype=(types or {}).get(name))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def llama_tensors(**extra):
    rng = np.random.default_rng(0)
    shapes = {
        "token_embd.weight": (64, 8), "output_norm.weight": (8,), "blk.0.attn_norm.weight": (8,),
        "blk.0.attn_q.weight": (8, 8), "blk.0.attn_k.weight": (4, 8),
        "blk.0.attn_v.weight": (4, 8), "blk.0.attn_output.weight": (8, 8),
        "blk.0.ffn_norm.weight": (8,), "blk.0.ffn_gate.weight": (12, 8),
        "blk.0.ffn_up.weight": (12, 8), "blk.0.ffn_down.weight": (8, 12), **extra,
    }  # fmt: skip
    return {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}


def test_a_small_llama(tmp_path):
    tensors = llama_tensors()
    config, weights = read_gguf(write(tmp_path / "x.gguf", tensors, LLAMA))
    assert (config.dim, config.n_kv_heads, config.hidden_dim, config.vocab_size) == (8, 1, 12, 64)
    assert (config.tie_embeddings, config.attention_bias, config.norm_eps) == (True, False, 1e-5)
    assert (weights["layers.0.feed_forward.w3.weight"] == tensors["blk.0.ffn_up.weight"]).all()
    # The pairs of a head of 4 rows: (0, 1), (2, 3) there, (0, 2), (1, 3) here.
    theirs = tensors["blk.0.attn_k.weight"]
    assert (weights["layers.0.attention.wk.weight"] == theirs[[0, 2, 1, 3]]).all()


def test_a_qwen2_turns_halves_and_has_biases(tmp_path):
    names = ("blk.0.attn_q.bias", "blk.0.attn_k.bias", "blk.0.attn_v.bias", "output.weight")
    tensors = llama_tensors(**dict(zip(names, [(8,), (4,), (4,), (64, 8)])))
    fields = {**LLAMA, "rope.freq_base": 1e6, "attention.layer_norm_rms_epsilon": 1e-6}
    config, weights = read_gguf(write(tmp_path / "x.gguf", tensors, fields, arch="qwen2"))
    assert (config.rope_theta, config.norm_eps) == (1e6, 1e-6)
    assert (config.tie_embeddings, config.attention_bias) == (False, True)
    assert (weights["layers.0.attention.wq.bias"] == tensors["blk.0.attn_q.bias"]).all()
    assert (weights["layers.0.attention.wk.weight"] == tensors["blk.0.attn_k.weight"]).all()


@pytest.mark.parametrize("kind", [Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_1])
def test_quantised_numbers_are_decoded(kind, tmp_path):
    values = np.random.default_rng(0).standard_normal((4, 64), dtype=np.float32)
    stored = gguf.quants.quantize(values, kind)
    path = write(tmp_path / "x.gguf", {"a": stored}, types={"a": kind})
    right = gguf.quants.dequantize(stored, kind)
    read = GGUFFile(path).read("a")
    assert read.dtype == np.float32 and (read == right.reshape(4, 64)).all()
    assert np.abs(read - values).max() < 0.4


def test_fields_of_every_kind(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama")
    writer.add_string("text", "床前")
    writer.add_array("words", ["a", "", "月"])
    writer.add_array("numbers", [1.5, 2.5])
    writer.add_bool("yes", True)
    writer.add_int64("below", -3)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    fields = GGUFFile(tmp_path / "x.gguf").fields
    assert (fields["text"], fields["words"], fields["yes"]) == ("床前", ["a", "", "月"], True)
    assert (fields["numbers"], fields["below"]) == ([1.5, 2.5], -3)


def string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def header(n_tensors=0, n_fields=0, magic=b"GGUF", version=3) -> bytes:
    return magic + struct.pack("<IQQ", version, n_tensors, n_fields)


def entry(dims=(4,), kind=0, offset=0, n_dims=None) -> bytes:
    sizes = b"".join(struct.pack("<Q", size) for size in dims)
    count = len(dims) if n_dims is None else n_dims
    return string(b"a") + struct.pack("<I", count) + sizes + struct.pack("<IQ", kind, offset)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is cut"),
        (b"\x80\x04\x95" + bytes(40), "does not begin with GGUF"),
        (header(version=1), "its version is 1"),
        (header(version=0x03000000), "its version is 50331648"),
        (header(n_fields=1 << 60), "claims to have 1152921504606846976 entries"),
        (header(n_tensors=1), "it is cut"),
        (header(n_fields=1) + struct.pack("<Q", 1 << 63), "it is cut"),
        (header(n_fields=1) + string(b"k") + struct.pack("<I", 77), "unknown type 77"),
        (header(n_fields=1) + string(b"k") + struct.pack("<IIQ", 9, 0, 1 << 23), "it is cut"),
        (header(n_fields=1) + string(b"k") + struct.pack("<IIQ", 9, 8, 1 << 60), "entries"),
        (header(n_fields=1) + string(b"k") + struct.pack("<IIQ", 9, 9, 1), "list of lists"),
        (header(1) + entry(n_dims=9), "has 9 dimensions"),
        (header(1) + entry(kind=4), "unknown type 4"),
        (header(1) + entry(dims=(0, 4)), "rows of 0 numbers"),
        (header(1) + entry(dims=(31,), kind=8), "rows of 31 numbers in blocks of 32"),
        (header(1) + entry() + bytes(22), "are not where they should be"),
        (header(1) + entry(offset=1 << 62) + bytes(64), "are not where they should be"),
        (header(1) + entry(dims=(1 << 62, 1 << 62)) + bytes(64), "are not where"),
        (header(2) + entry() + entry() + bytes(64), "tensor a is in it twice"),
        (header(n_fields=1) + string(b"general.alignment") + struct.pack("<II", 4, 0), "alignment"),
    ],
)  # fmt: skip
def test_a_damaged_file(content, says, tmp_path):
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(UserError, match=f"x.gguf is not a sound GGUF file: .*{says}"):
        GGUFFile(tmp_path / "x.gguf")


def test_every_cut_of_a_file_is_noticed(tmp_path):
    path = write(tmp_path / "x.gguf", llama_tensors(), LLAMA)
    content = path.read_bytes()
    for size in [*range(0, 1500, 37), len(content) - 40]:
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match="not a sound GGUF file"):
            GGUFFile(path)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"block_count": 2}, "tensor blk.1.attn_k.weight is missing"),
        ({"block_count": 1 << 18}, "describes 262144 blocks but holds 11 tensors"),
        ({"feed_forward_length": 16}, r"ffn_gate.weight has shape \(12, 8\), .* require \(16, 8\)"),
        ({"attention.head_count": 3}, "describes no possible model"),
        ({"attention.head_count": 0}, "describes no possible model"),
        ({"embedding_length": 8.0}, "embedding_length is 8.0; it must be a whole number"),
        ({"rope.dimension_count": 2}, "rope.dimension_count is 2"),
        ({"expert_count": 8}, "experts cannot be read"),
    ],
)
def test_sizes_that_do_not_fit(fields, says, tmp_path):
    path = write(tmp_path / "x.gguf", llama_tensors(), {**LLAMA, **fields})
    with pytest.raises(UserError, match=says):
        read_gguf(path)


@pytest.mark.parametrize(
    ("tensors", "arch", "says"),
    [
        (llama_tensors(adapter=(8,)), "llama", "tensor adapter has no place in the model"),
        (llama_tensors(), "mamba", "architecture is 'mamba'; only llama and qwen2"),
        ({"a": np.ones(4, np.float32)}, "llama", "tensor token_embd.weight is missing"),
    ],
)
def test_a_model_of_another_form(tensors, arch, says, tmp_path):
    with pytest.raises(UserError, match=says):
        read_gguf(write(tmp_path / "x.gguf", tensors, LLAMA, arch=arch))
