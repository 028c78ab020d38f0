"""Megatron's files, read by a reader of our own and by MindFormers' IndexedDataset."""

import subprocess
import sys

import numpy as np
import pytest

from common.errors import UserError
from corpus import token_file
from corpus.token_file import TokenFile, TokenFileWriter
from interop.mindformers import megatron
from interop.mindformers.megatron import write_megatron

EOS = 2
# Its file alone, with a logger in place of its own: importing the package takes many seconds.
MINDFORMERS = """
import importlib.util, logging, sys, types
from pathlib import Path
import numpy as np
package = Path(importlib.util.find_spec("mindformers").origin).parent
for name in ("mindformers", "mindformers.tools", "mindformers.tools.logger"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["mindformers.tools.logger"].logger = logging.getLogger()
file = package / "dataset" / "blended_datasets" / "indexed_dataset.py"
spec = importlib.util.spec_from_file_location("indexed_dataset", file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
dataset = module.IndexedDataset(sys.argv[1])
documents = [dataset[i].copy() for i in range(len(dataset))]
np.savez(sys.argv[2], *documents, indices=dataset.document_indices.copy())
"""


def random_documents(count=50, vocab_size=300, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 40, count)
    return [[*map(int, rng.integers(3, vocab_size, length)), EOS] for length in lengths]


def token_file_of(path, documents, vocab_size=300, part_tokens=0):
    """A token file of whole documents; the last may lack its <eos>."""
    with TokenFileWriter(path, vocab_size, part_tokens) as writer:
        for document in documents:
            writer.write(document)
    files = {path.with_name(part.name): part.tokens for part in writer.parts}
    return TokenFile(path, files or {path: writer.tokens}, writer.dtype, None)


def read(prefix):
    """Documents of <prefix>.bin, by a reader written from the format's description."""
    raw = prefix.with_name(prefix.name + ".idx").read_bytes()
    assert raw[:17] == b"MMIDIDX\0\0" + (1).to_bytes(8, "little")
    dtype = {8: np.dtype("<u2"), 4: np.dtype("<i4")}[raw[17]]
    n, n_documents = map(int, np.frombuffer(raw, "<u8", 2, 18))
    assert n_documents == n + 1
    lengths = np.frombuffer(raw, "<i4", n, 34)
    offsets = np.frombuffer(raw, "<i8", n, 34 + 4 * n)
    indices = np.frombuffer(raw, "<i8", n + 1, 34 + 12 * n)
    assert len(raw) == 34 + 20 * n + 8 and (indices == np.arange(n + 1)).all()
    data = prefix.with_name(prefix.name + ".bin").read_bytes()
    assert offsets[-1] + lengths[-1] * dtype.itemsize == len(data)
    return [np.frombuffer(data, dtype, k, at).tolist() for k, at in zip(lengths, offsets)]


@pytest.mark.parametrize(("vocab_size", "part_tokens"), [(300, 0), (300, 64), (70_000, 0)])
def test_every_document_comes_back(vocab_size, part_tokens, tmp_path, monkeypatch):
    """Whatever the type of the ids, and where blocks, parts and chunks of the index end."""
    monkeypatch.setattr(token_file, "SCAN_TOKENS", 37)
    monkeypatch.setattr(megatron, "CHUNK", 7)
    documents = random_documents(vocab_size=vocab_size)
    source = token_file_of(tmp_path / "ids.bin", documents, vocab_size, part_tokens)
    assert write_megatron(source, tmp_path / "out.v1", EOS) == len(documents)
    assert read(tmp_path / "out.v1") == documents


def test_what_follows_the_last_eos_is_a_document(tmp_path):
    documents = [[5, EOS], [7, 8]]
    source = token_file_of(tmp_path / "ids.bin", documents)
    assert write_megatron(source, tmp_path / "out", EOS) == 2
    assert read(tmp_path / "out") == documents


def test_a_file_without_ends_is_one_document(tmp_path):
    source = token_file_of(tmp_path / "ids.bin", [[5, 6, 7]])
    assert write_megatron(source, tmp_path / "out", EOS) == 1
    assert read(tmp_path / "out") == [[5, 6, 7]]


def test_a_document_too_long_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(megatron, "MAX_LENGTH", 5)
    source = token_file_of(tmp_path / "ids.bin", [[5, EOS], [7] * 9])
    with pytest.raises(UserError, match=r"ids.bin has 5 ids without an <eos> \(id 2\)"):
        write_megatron(source, tmp_path / "out", EOS)
    assert [path.name for path in tmp_path.iterdir()] == ["ids.bin"]


def test_mindformers_reads_it(tmp_path):
    documents = random_documents()
    write_megatron(token_file_of(tmp_path / "ids.bin", documents), tmp_path / "out", EOS)
    done = subprocess.run(
        [sys.executable, "-c", MINDFORMERS, str(tmp_path / "out"), str(tmp_path / "read.npz")],
        cwd=tmp_path, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = np.load(tmp_path / "read.npz")
    assert [found[f"arr_{i}"].tolist() for i in range(len(documents))] == documents
    assert (found["indices"] == np.arange(len(documents) + 1)).all()
