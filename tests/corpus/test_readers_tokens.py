import gzip
import io
import pickle
import tracemalloc

import numpy as np
import pytest

import corpus.readers.token_ids as token_ids
from corpus.config import SourceConfig
from corpus.input_file import InputFile
from corpus.registry import find_reader

EOS = 2


@pytest.fixture
def read(tmp_path):
    """Documents as lists of ids, and the file: `read("token_bin", content)`."""

    def run(name, content, file_name="raw"):
        path = tmp_path / file_name
        path.write_bytes(content)
        file = InputFile(path)
        reader = find_reader(name)
        assert reader.tokens
        documents = list(reader.read(file, SourceConfig(name, str(path)), EOS))
        assert all(document.ndim == 1 and document.size for document in documents)
        return [document.tolist() for document in documents], file

    return run


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def test_token_bin_is_cut_at_eos(read):
    ids = np.array([5, 6, EOS, EOS, 65535, EOS, 7, 8], "<u2").tobytes()
    documents, file = read("token_bin", ids)
    assert documents == [[5, 6], [65535], [7, 8]]
    assert (file.position, file.skipped, file.damaged) == (16, 0, False)
    assert read("token_bin", gzip.compress(ids), "raw.bin.gz")[0] == documents
    assert read("token_bin", b"")[0] == []


def test_documents_go_on_over_blocks(read):
    rng = np.random.default_rng(0)
    texts = [rng.integers(3, 65000, n) for n in rng.integers(1, 400_000, 20)]
    ids = np.concatenate([np.append(text, EOS) for text in texts]).astype("<u2")
    documents, _ = read("token_bin", ids.tobytes())
    assert documents == [text.tolist() for text in texts]


def test_token_bin_of_another_tokenizer_or_cut(read, monkeypatch, caplog):
    monkeypatch.setattr(token_ids, "MAX_DOCUMENT_TOKENS", 1000)
    ids = np.array([4, EOS, *[5] * 5000, EOS, 6], "<u2").tobytes()
    documents, file = read("token_bin", ids + b"\1")
    assert (documents, file.skipped, file.damaged) == ([[4], [6]], 1, True)
    assert "raw:2 skipped: 5,000 tokens without <eos> (id 2); was the file made" in caplog.text
    assert "it ends in the middle of an id" in caplog.text


def test_memory_does_not_depend_on_the_file(tmp_path):
    peaks = []
    for n_blocks in (2, 16):
        path = tmp_path / "raw"
        with open(path, "wb") as file:
            for _ in range(n_blocks):
                file.write(np.tile(np.array([7] * 999 + [EOS], "<u2"), 1000).tobytes())
        read = find_reader("token_bin").read
        source = SourceConfig("token_bin", str(path))
        tracemalloc.start()
        assert sum(1 for _ in read(InputFile(path), source, EOS)) == 1000 * n_blocks
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] + 100_000


@pytest.mark.parametrize("dtype", ["<u2", "<i4", ">i8"])
def test_token_npz(read, dtype):
    ids = np.array([[5, 6, EOS, 7], [8, EOS, 9, EOS]], dtype)
    documents, file = read("token_npz", npz(input_ids=ids, mask=ids))
    assert documents == [[5, 6], [7, 8], [9]]
    assert file.position == file.path.stat().st_size


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (npz(ids=np.arange(3)), "There is no item named 'input_ids.npy'"),
        (npz(input_ids=np.array([[1], [2, 3]], object)), "allow_pickle=False"),
        (npz(input_ids=np.zeros(3)), "input_ids holds float64, not whole numbers"),
        (npz(input_ids=np.arange(1000))[:200], "File is not a zip file"),
        (pickle.dumps([1, 2]), "File is not a zip file"),
        (b"", "File is not a zip file"),
    ],
)
def test_npz_that_cannot_be_read(read, caplog, content, reason):
    documents, file = read("token_npz", content)
    assert (documents, file.damaged) == ([], True)
    assert reason in caplog.text
