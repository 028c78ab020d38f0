import copy
import hashlib
import json
import pickle

import numpy as np
import pytest

from common.errors import UserError
from corpus.manifest import Manifest, SourceCounts
from corpus.token_file import TokenFile, TokenFileWriter, open_split


def write_file(path, documents, tokenizer, inputs="key"):
    """A token file with its manifest."""
    with TokenFileWriter(path, tokenizer.vocab_size) as writer:
        for ids in documents:
            writer.write(ids)
    about = {"kind": tokenizer.kind, "fingerprint": tokenizer.fingerprint}
    about.update(vocab_size=tokenizer.vocab_size, eos_id=tokenizer.eos_id)
    sources = [SourceCounts("s", len(documents), tokens=writer.tokens)]
    fixed = {"text_bytes": 0, "characters": 0, "split": "", "inputs": inputs}
    dtype, sha256 = writer.dtype.name, writer.sha256
    Manifest(
        dtype,
        writer.tokens,
        len(documents),
        sha256=sha256,
        tokenizer=about,
        sources=sources,
        **fixed,
    ).save(path)
    return path


@pytest.fixture
def path(tmp_path, tokenizer):
    return write_file(tmp_path / "x.bin", [[5, 6, 2], [7, 2]], tokenizer)


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65536, "uint16"), (65537, "uint32")])
def test_dtype_follows_the_vocabulary(tmp_path, vocab_size, dtype):
    with TokenFileWriter(tmp_path / "x.bin", vocab_size) as writer:
        writer.write([vocab_size - 1, 0])
    assert writer.dtype.name == dtype
    content = (tmp_path / "x.bin").read_bytes()
    assert np.frombuffer(content, dtype).tolist() == [vocab_size - 1, 0]
    assert writer.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("wrong", [350, -1, 70000])
def test_writer_refuses_an_id_outside_the_vocabulary(tmp_path, wrong):
    with pytest.raises(UserError, match=rf"token id {wrong} is outside .* 350 ids, at token 3 "):
        with TokenFileWriter(tmp_path / "x.bin", 350) as writer:
            writer.write([1, 2])
            writer.write([3, wrong, 2])
    assert not list(tmp_path.iterdir())


def test_read(path, tokenizer):
    file = TokenFile.open(path)
    file.check(tokenizer)
    assert (file.n_tokens, file.manifest.documents) == (5, 2)
    for reader in (file, pickle.loads(pickle.dumps(file)), copy.copy(file)):
        ids = reader.read(1, 4)
        assert (ids.dtype, ids.tolist()) == (np.int32, [6, 2, 7])
    assert file.read(3, 99).tolist() == [7, 2]


def test_bare_file_is_taken_as_uint16_with_a_warning(tmp_path, tokenizer, caplog):
    bare = tmp_path / "x.bin"
    np.array([5, 6, 2], "<u2").tofile(bare)
    file = TokenFile.open(bare)
    assert "no manifest" in caplog.text
    assert file.manifest is None
    assert file.read(0, 3).tolist() == [5, 6, 2]
    file.check(tokenizer)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"x\.bin does not exist; run python data_process\.py"):
        TokenFile.open(tmp_path / "x.bin")


def test_odd_size(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"abc")
    with pytest.raises(UserError, match="has 3 bytes, not a multiple of 2"):
        TokenFile.open(tmp_path / "x.bin")


def test_empty_file(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"")
    with pytest.raises(UserError, match="is empty"):
        TokenFile.open(tmp_path / "x.bin")


def test_size_and_manifest_disagree(path):
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(UserError, match="has 4 tokens but its manifest says 5"):
        TokenFile.open(path)


def test_contents_and_manifest_disagree(path, tokenizer):
    path.write_bytes(bytes(10))
    with pytest.raises(UserError, match="not the file that its manifest describes"):
        TokenFile.open(path).check(tokenizer)


@pytest.mark.parametrize("change", [{"format_version": 99}, {"sources": None}, {"extra": 1}])
def test_manifest_of_another_version_or_damaged(path, change):
    manifest = path.with_suffix(".json")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
    with pytest.raises(UserError, match=r"run python data_process\.py again"):
        TokenFile.open(path)


def test_id_outside_the_vocabulary(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr("corpus.token_file.SCAN_TOKENS", 4)
    np.array([1] * 6 + [350, 2], "<u2").tofile(tmp_path / "x.bin")
    with pytest.raises(
        UserError, match="token id 350 at position 6, outside the vocabulary of 350"
    ):
        TokenFile.open(tmp_path / "x.bin").check(tokenizer)


def test_file_of_another_tokenizer(path, tokenizer):
    other = copy.copy(tokenizer)
    other.fingerprint = "0" * 64
    with pytest.raises(UserError, match="made with another tokenizer"):
        TokenFile.open(path).check(other)


def test_halves_of_different_runs(tmp_path, tokenizer):
    write_file(tmp_path / "pretrain_data.bin", [[5, 2]], tokenizer, "new")
    write_file(tmp_path / "val_data.bin", [[6, 2]], tokenizer, "old")
    with pytest.raises(UserError, match="come from different runs"):
        open_split(tmp_path)
    write_file(tmp_path / "val_data.bin", [[6, 2]], tokenizer, "new")
    train, val = open_split(tmp_path)
    assert (train.read(0, 1), val.read(0, 1)) == (5, 6)


@pytest.fixture
def parts(tmp_path, tokenizer):
    """A file of 12 ids in parts of 5."""
    path = tmp_path / "x.bin"
    with TokenFileWriter(path, tokenizer.vocab_size, part_tokens=5) as writer:
        writer.write([3, 4, 5, 2])
        writer.write_block(np.array([6, 7, 8, 9, 10, 11, 12, 2]))
    about = {"kind": tokenizer.kind, "fingerprint": tokenizer.fingerprint}
    fixed = {"text_bytes": 0, "characters": 0, "split": "", "inputs": ""}
    Manifest(
        "uint16", 12, 2, sha256=writer.sha256, tokenizer=about, parts=writer.parts, **fixed
    ).save(path)
    return path


def test_parts_are_read_as_one(parts, tokenizer):
    names = sorted(path.name for path in parts.parent.glob("*.bin"))
    assert names == ["x-00000.bin", "x-00001.bin", "x-00002.bin"]
    file = TokenFile.open(parts)
    file.check(tokenizer)
    ids = [3, 4, 5, 2, 6, 7, 8, 9, 10, 11, 12, 2]
    assert [part.tokens for part in file.manifest.parts] == [5, 5, 2]
    assert file.fingerprint == hashlib.sha256(np.array(ids, "<u2").tobytes()).hexdigest()
    for start in range(13):
        for stop in range(start, 14):
            read = file.read(start, stop)
            assert (read.dtype, read.tolist()) == (np.int32, ids[start:stop])
    assert pickle.loads(pickle.dumps(file)).read(4, 11).tolist() == ids[4:11]


def test_full_last_part_leaves_no_empty_one(tmp_path):
    with TokenFileWriter(tmp_path / "x.bin", 350, part_tokens=5) as writer:
        writer.write_block(np.arange(10))
    assert [part.tokens for part in writer.parts] == [5, 5]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("change", ["missing", "cut", "damaged"])
def test_unsound_part_is_named(parts, tokenizer, change):
    part = parts.with_name("x-00001.bin")
    if change == "missing":
        part.unlink()
    else:
        part.write_bytes(bytes(8 if change == "cut" else 10))
    with pytest.raises(UserError, match=r"x-00001\.bin (does not|has 4 tokens|is not the file)"):
        TokenFile.open(parts).check(tokenizer)


def test_manifest_of_the_first_version(path, tokenizer):
    manifest = path.with_suffix(".json")
    values = json.loads(manifest.read_text())
    del values["parts"]
    for name in ("damaged", "read", "cleaned", "unique"):
        del values["sources"][0][name]
    manifest.write_text(json.dumps({**values, "format_version": 1}))
    file = TokenFile.open(path)
    file.check(tokenizer)
    assert file.manifest.sources[0].read == 0
