"""Safetensors files that lie about themselves."""

import json
import pickle
import struct

import numpy as np
import pytest

from common.errors import UserError
from interop.safetensors_file import SafetensorsFile, widen, write_safetensors

F32 = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


def make(path, header, data=bytes(16), length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def test_what_is_written_is_read(tmp_path):
    rng = np.random.default_rng(0)
    weights = {"a": rng.standard_normal((3, 5), dtype=np.float32), "b": np.float32([1e-40, -0.0])}
    write_safetensors(tmp_path / "x.safetensors", weights, "float32")
    file = SafetensorsFile(tmp_path / "x.safetensors")
    assert file.shape("a") == (3, 5)
    for name, value in weights.items():
        assert file.read(name).tobytes() == value.tobytes()


def test_bfloat16_is_the_upper_half_of_a_float32():
    stored = np.array([0x3F80, 0xC000, 0x0001, 0x7F80], "<u2")
    assert (widen(stored, "BF16") == np.float32([1, -2, 2**-133, np.inf])).all()


@pytest.mark.parametrize(("dtype", "value"), [("float16", 7e4), ("bfloat16", 3.4e38)])
def test_a_number_too_large_for_the_type(dtype, value, tmp_path):
    with pytest.raises(UserError, match=f"does not fit {dtype}"):
        write_safetensors(tmp_path / "x", {"a": np.float32([value])}, dtype)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("header", "more", "says"),
    [
        ({"a": F32}, {"data": bytes(15)}, "has 88 bytes, but its header describes 89"),
        ({"a": F32}, {"data": bytes(17)}, "has 90 bytes, but its header describes 89"),
        ({"a": F32}, {"length": 1 << 62}, "not the length of a header"),
        ({"a": F32}, {"length": 0}, "not the length of a header"),
        ({"a": F32}, {"length": 30}, "its header is not a list of tensors"),
        (b"[1, 2]", {}, "its header is not a list of tensors"),
        (b"{\xff}", {}, "its header is not a list of tensors"),
        (b'{"a":' + b"[" * 100_000, {}, "its header is not a list of tensors"),
        ({"a": {"dtype": "F32"}}, {}, "its header is not a list of tensors"),
        ({"a": {**F32, "data_offsets": [16, 0]}}, {}, "its header is not a list of tensors"),
        ({"a": {**F32, "data_offsets": [0, 16.0]}}, {}, "its header is not a list of tensors"),
        ({"a": {**F32, "shape": [-2, -2]}}, {}, "its header is not a list of tensors"),
        ({"a": {**F32, "shape": [True, 4]}}, {}, "its header is not a list of tensors"),
        ({"a": {**F32, "shape": [1 << 40, 1 << 40]}}, {}, "tensor a has 16 bytes, not"),
        ({"a": {**F32, "data_offsets": [0, 1 << 60]}}, {}, "tensor a has"),
        ({"a\n\x1b[2J": F32}, {}, "a name that cannot be printed"),
        ({"a": F32, "b": F32}, {}, "tensor b does not begin where"),
        ({"a": {**F32, "data_offsets": [8, 24]}}, {"data": bytes(24)}, "does not begin where"),
    ],
)  # fmt: skip
def test_a_damaged_file(header, more, says, tmp_path):
    path = make(tmp_path / "x.safetensors", header, **more)
    with pytest.raises(UserError, match=says):
        SafetensorsFile(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", pickle.dumps({"weight": [1.0] * 9})])
def test_what_is_no_such_file_at_all(content, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="x.safetensors is not a sound safetensors file"):
        SafetensorsFile(tmp_path / "x.safetensors")


def test_a_type_that_no_weight_has(tmp_path):
    entry = {"dtype": "I64", "shape": [2], "data_offsets": [0, 16]}
    file = SafetensorsFile(make(tmp_path / "x", {"a": entry}))
    with pytest.raises(UserError, match="tensor a has type 'I64'; weights must be F32, F16, BF16"):
        file.read("a")


def test_metadata_and_empty_tensors_are_no_obstacle(tmp_path):
    empty = {"dtype": "F32", "shape": [0, 3], "data_offsets": [0, 0]}
    path = make(tmp_path / "x", {"a": F32, "none": empty, "__metadata__": {"format": "ms"}})
    assert SafetensorsFile(path).read("none").shape == (0, 3)
