import numpy as np
import pytest

import corpus.token_file
from common.errors import UserError
from corpus.inspect import Scan, main, scan
from corpus.pipeline import build
from corpus.token_file import TokenFile


@pytest.fixture
def folder(make_data, tokenizer, tokenizer_config, tmp_path):
    build(tokenizer_config, make_data(300))
    tokenizer.save(tmp_path / "data")
    return tmp_path / "data"


def test_command_shows_all(folder, capsys, random_texts):
    assert main([str(folder / "pretrain_data.bin"), "--documents", "2"]) == 0
    output = capsys.readouterr().out
    assert "SHA-256 as in the manifest" in output
    assert "jsonl " in output and "held out where blake2b" in output
    assert "ids occur" in output and "fewer than 10 times" in output
    assert sum(text in output for text in random_texts(300)) == 2
    picture = folder / "pretrain_data_lengths.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert output.rstrip().endswith(f"wrote {picture}")


def test_numbers_are_those_of_the_file(folder, tokenizer, monkeypatch):
    file = TokenFile.open(folder / "pretrain_data.bin")
    ids = file.read(0, file.n_tokens)
    ends = np.flatnonzero(ids == tokenizer.eos_id)
    lengths = np.diff(ends, prepend=-1)
    whole = scan(file, tokenizer, 5, 0)
    assert whole.uses.tolist() == np.bincount(ids, minlength=tokenizer.vocab_size).tolist()
    assert (whole.documents, whole.longest) == (len(ends), lengths.max())
    assert whole.quantile(0.5) == np.sort(lengths)[(len(lengths) - 1) // 2]
    for _, begin, end in whole.chosen:
        assert end - 1 in ends and (begin == 0 or begin - 1 in ends)
    # The file is read in blocks, and their size changes no count.
    monkeypatch.setattr(corpus.token_file, "SCAN_TOKENS", 100)
    blocks = scan(file, tokenizer, 5, 0)
    assert blocks.lengths.tolist() == whole.lengths.tolist()
    assert len(blocks.chosen) == 5


def test_seed_chooses_the_documents(folder, tokenizer):
    file = TokenFile.open(folder / "pretrain_data.bin")
    first, again, other = (scan(file, tokenizer, 3, seed).chosen for seed in (0, 0, 1))
    assert first == again != other


def test_damaged_file(folder):
    path = folder / "pretrain_data.bin"
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="SHA-256 differs"):
        main([str(path)])


def test_file_without_a_document(tmp_path, tokenizer, capsys):
    np.array([5, 6, 7], "<u2").tofile(tmp_path / "bare.bin")
    assert main([str(tmp_path / "bare.bin"), "--tokenizer", str(tokenizer.model_file)]) == 0
    output = capsys.readouterr().out
    assert "no manifest" in output and "documents: 0" in output


def test_quantile_of_nothing():
    assert Scan(np.zeros(3, np.int64)).quantile(0.5) == 0
