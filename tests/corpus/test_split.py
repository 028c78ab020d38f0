"""A long document is in both files: its end is held out."""

import json
from dataclasses import replace

import numpy as np
import pytest

from common.errors import UserError
from corpus.config import DataConfig, SourceConfig
from corpus.pipeline import build
from corpus.split import Split
from corpus.token_file import open_split
from tokenizer.config import TokenizerConfig

DAYS = [f"第{i}天，小明在河边读书，然后回家。" for i in range(60)]


@pytest.fixture
def split_of(tmp_path, tokenizer, tokenizer_config, documents_of):
    """Texts of the training and of the validation file: `split_of(reader, content)`."""

    def run(reader, content, val_fraction=0.2, **options):
        (tmp_path / "raw").write_bytes(content)
        source = SourceConfig(reader, str(tmp_path / "raw"))
        data = DataConfig(str(tmp_path / "data"), [source], val_fraction=val_fraction, workers=1)
        report = build(tokenizer_config, replace(data, **options))
        files = open_split(data.dir)
        for file in files:
            file.check(tokenizer)
        return [documents_of(file, tokenizer) for file in files], report

    return run


@pytest.mark.parametrize("reader", ["txt", "jsonl", "json", "token_bin"])
def test_a_corpus_of_one_document(split_of, tokenizer, reader, capsys):
    text = "\n".join(DAYS)
    content = {
        "txt": text.encode(),
        "jsonl": json.dumps({"text": text}).encode(),
        "json": json.dumps([text]).encode(),
        "token_bin": np.array([*tokenizer.encode(text), tokenizer.eos_id], "<u2").tobytes(),
    }[reader]
    ((trained,), (held_out,)), report = split_of(reader, content)
    assert trained.strip() == "\n".join(DAYS[:48])
    assert held_out == "\n".join(DAYS[48:])
    (source,) = report.train.sources
    assert (source.read, source.cleaned, source.unique) == (1, 1, 1)
    said = capsys.readouterr().out
    assert "raw: 1 long document(s) cut in two, at the end of a paragraph" in said
    assert f"the last {len(held_out):,} are held out for validation" in said
    assert report.val.split.endswith("of a document of more than a tenth of the corpus, its end")


def test_the_vocabulary_does_not_see_the_end(tmp_path, documents_of):
    from corpus.vocabulary import tokenizer_for

    text = "\n".join([*DAYS * 20, "龘" * 50])
    (tmp_path / "novel.txt").write_text(text)
    source = SourceConfig("txt", str(tmp_path / "novel.txt"))
    data = DataConfig(str(tmp_path / "data"), [source], val_fraction=0.005, workers=1)
    config = TokenizerConfig(vocab_size=300)
    build(config, data)
    tokenizer = tokenizer_for(config, data)
    (held_out,) = documents_of(open_split(data.dir)[1], tokenizer)
    assert held_out.endswith("龘" * 50)
    assert len(tokenizer.encode("龘")) == 3


def test_a_long_document_among_short_ones(split_of, capsys):
    short = [f"{day}{day}" for day in DAYS]
    long = "\n".join(DAYS * 50)
    (trained, held_out), report = split_of("json", json.dumps([*short, long]).encode())
    assert sum(map(len, held_out)) < 0.3 * sum(map(len, trained))
    assert sum(long.startswith(text) for text in trained if len(text) > 1000) == 1
    assert sum(long.endswith(text) for text in held_out if len(text) > 1000) == 1
    assert "1 long document(s) cut in two" in capsys.readouterr().out


def test_weights_repeat_the_part_for_training_only(split_of, tmp_path):
    text = "\n".join(DAYS)
    source = SourceConfig("txt", str(tmp_path / "raw"), weight=3)
    (trained, held_out), _ = split_of("txt", text.encode(), sources=[source])
    assert (len(trained), len(held_out)) == (3, 1)


def test_a_validation_file_much_larger_than_wanted_is_noted(split_of, capsys):
    texts = [f"{day}{n}" for n in range(10) for day in DAYS]
    long = next(
        text
        for n in range(1000)
        if Split(0.02, 1 << 40).is_held_out((text := f"{n}" + DAYS[0] * 50).encode())
    )
    split_of("json", json.dumps(texts).encode(), 0.02)
    assert "validation" not in capsys.readouterr().out
    (_, held_out), _ = split_of("json", json.dumps([*texts, long]).encode(), 0.02)
    assert long in held_out
    assert "of the tokens, where data.val_fraction asks for 2.0%" in capsys.readouterr().out


def test_one_sentence_cannot_be_cut(split_of):
    with pytest.raises(UserError, match=r"no document fell to the .* file"):
        split_of("txt", "一句话没有尽头".encode())


@pytest.mark.parametrize(
    ("text", "val_fraction", "held_out"),
    [
        ("一\n二\n三\n四\n五", 0.2, "五"),
        ("一。二。三。四。五。", 0.2, "五。"),
        ("a b c d e", 0.2, "d e"),
        ("一二三\n四", 0.005, "四"),
        ("一\n二三四五六七八九十", 0.2, None),  # a paragraph end that leaves nothing to train on
        ("一\n二。三四五六七八九。十", 0.2, "十"),
        ("一\n二三", 0.8, "二三"),
    ],
)
def test_where_a_long_document_is_cut(text, val_fraction, held_out):
    split = Split.of(val_fraction, len(text.encode()))
    head, *tail = split.parts(text.encode())
    assert [part.decode() for part, held in tail if held] == ([held_out] if held_out else [])
    if held_out:
        assert head[1] is False
        assert text.startswith(head[0].decode())
