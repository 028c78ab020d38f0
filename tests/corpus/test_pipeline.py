import json
import os
import re
import subprocess
import sys
import tracemalloc

import pytest

import corpus.pipeline as pipeline
from common.errors import UserError
from corpus.config import DataConfig, SourceConfig
from corpus.pipeline import build
from corpus.report import format_report
from corpus.split import Split
from corpus.token_file import TokenFile, open_split
from corpus.vocabulary import tokenizer_for
from tokenizer.config import TokenizerConfig
from tokenizer.tokenizer import RESERVED_PIECES
from tokenizer.train import train_sentencepiece


def is_held_out(text, val_fraction):
    return Split(val_fraction, 1 << 40).is_held_out(text.encode())


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_every_document_is_in_exactly_one_file(
    make_data, tokenizer, tokenizer_config, random_texts, documents_of
):
    data = make_data(300)
    report = build(tokenizer_config, data)
    train, val = open_split(data.dir)
    for file, manifest in ((train, report.train), (val, report.val)):
        file.check(tokenizer)
        assert file.n_tokens == manifest.tokens == sum(s.tokens for s in manifest.sources)
        assert len(documents_of(file, tokenizer)) == manifest.documents
    trained, held_out = documents_of(train, tokenizer), documents_of(val, tokenizer)
    assert not set(trained) & set(held_out)
    assert sorted(trained + held_out) == sorted(random_texts(300))
    assert 10 <= len(held_out) <= 60


def test_counts(make_data, tokenizer, tokenizer_config, random_texts):
    data = make_data(300)
    report = build(tokenizer_config, data)
    texts = random_texts(300)
    total = report.train.sources[0] + report.val.sources[0]
    assert total.documents == len(texts)
    assert total.characters == sum(map(len, texts))
    assert total.text_bytes == sum(len(text.encode()) for text in texts)
    assert total.tokens == sum(len(ids) + 1 for ids in tokenizer.encode_batch(texts))
    assert total.unknown == total.skipped == 0


def test_equal_documents_fall_on_the_same_side(random_texts):
    texts = random_texts(4000, length=10)
    held_out = [is_held_out(text, 0.05) for text in texts]
    assert held_out == [is_held_out(text, 0.05) for text in texts]
    assert 140 < sum(held_out) < 260
    assert all(is_held_out(text, 0.2) for text, held in zip(texts, held_out) if held)


def test_outcome_does_not_depend_on_the_size_of_shards(make_data, tokenizer_config, monkeypatch):
    whole = build(tokenizer_config, make_data(101))
    monkeypatch.setattr(pipeline, "SHARD_BYTES", 2000)
    monkeypatch.setattr("corpus.packing.BUCKET_BYTES", 1000)
    data = make_data(101)
    os.utime(data.sources[0].path, ns=(1, 1))
    pieces = build(tokenizer_config, data)
    assert not pieces.up_to_date
    assert (pieces.train.sha256, pieces.val.sha256) == (whole.train.sha256, whole.val.sha256)


def test_again_with_nothing_changed_does_nothing(make_data, tmp_path):
    config, data = TokenizerConfig(vocab_size=350), make_data()
    first = build(config, data)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").iterdir()}
    second = build(config, data)
    assert (first.up_to_date, second.up_to_date) == (False, True)
    assert (second.train, second.val) == (first.train, first.val)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "data").iterdir()}


@pytest.mark.parametrize("change", ["text", "vocab_size", "val_fraction", "cut", "manifest"])
def test_again_after_a_change_makes_the_files_again(make_data, tmp_path, change):
    config, data = TokenizerConfig(vocab_size=350), make_data()
    build(config, data)
    if change == "text":
        data = make_data(301)
    elif change == "vocab_size":
        config = TokenizerConfig(vocab_size=360)
    elif change == "val_fraction":
        data = make_data(val_fraction=0.2)
    elif change == "cut":
        (tmp_path / "data" / "pretrain_data.bin").write_bytes(b"abc")
    else:
        (tmp_path / "data" / "val_data.json").unlink()
    assert not build(config, data).up_to_date
    train, val = open_split(data.dir)
    train.check(tokenizer_for(config, data))
    val.check(tokenizer_for(config, data))


def test_vocabulary_knows_neither_what_is_held_out_nor_what_is_removed(
    make_data, tmp_path, random_texts, write_jsonl
):
    config, data = TokenizerConfig(vocab_size=350), make_data()
    texts = random_texts(300)
    write_jsonl(tmp_path / "raw.jsonl", [*texts, *texts[:100]])
    build(config, data)
    kept = [text for text in texts if not is_held_out(text, data.val_fraction)]
    train_sentencepiece(kept, 350, tmp_path / "kept.model", reserved=RESERVED_PIECES)
    model = (tmp_path / "data" / "tokenizer.model").read_bytes()
    assert model == (tmp_path / "kept.model").read_bytes()


def test_bad_records_are_counted_and_told_once(make_data, tmp_path, caplog):
    data = make_data()
    with open(tmp_path / "raw.jsonl", "a") as file:
        file.write("{bad\n")
    report = build(TokenizerConfig(vocab_size=350), data)
    assert report.train.sources[0].skipped == 1
    assert caplog.text.count("raw.jsonl:301 skipped: malformed JSON") == 1


LINES = [{"title": f"第{i}天", "content": "小明在河边读书。"} for i in range(60)]
NO_DOCUMENT = {
    ("jsonl", ""): "its files hold nothing but blank text",
    ("jsonl", "\n \n"): "its files hold nothing but blank text",
    ("jsonl", '{"text": ""}\n'): "its files hold nothing but blank text",
    ("jsonl", "{bad\n"): "1 records skipped, .* malformed JSON",
    ("jsonl", json.dumps(LINES)): "the record is a list, which the reader json takes entry by",
    ("jsonl", json.dumps(LINES, indent=1)): "several lines needs the reader json",
    ("jsonl", json.dumps(LINES[0])): "the record has the fields title, content",
    ("json", json.dumps(LINES)): "60 records skipped.*empty.jsonl:1: .* fields title, content",
    ("json", json.dumps({"n": 60, "data": LINES})): (
        "but data, a list of 60 records with the fields title, content; write that list"
    ),
    ("json", '[{"text": 5}]'): "text holds a number",
    ("json", '[{"text": {"zh": "一"}}]'): "text holds an object",
    ("json", '[{"text": [1, 2]}]'): "text holds a list that is not of texts",
    ("json", "[5]"): "the record is a number",
    ("csv", "title,content\n一,二\n"): "no column text among title, content; name one of these",
    ("txt", b"\xff\xfe" + "一".encode("utf-16-le")): "text in utf-16, .* set encoding: utf-16",
    ("txt_lines", b"\x1f\x8b\x08\x00"): "it is packed with gzip, so it is left out; give it a name",
}


@pytest.mark.parametrize(("reader", "content"), NO_DOCUMENT)
def test_source_without_a_document(tmp_path, tokenizer_config, make_data, reader, content):
    path = tmp_path / "empty.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    source = SourceConfig(reader, str(path))
    sources = [*make_data(20).sources, source]
    data = DataConfig(str(tmp_path / "data"), sources, val_fraction=0.1, workers=1)
    with pytest.raises(UserError, match=r"empty\.jsonl gave no document") as raised:
        build(tokenizer_config, data)
    assert re.search(NO_DOCUMENT[reader, content], str(raised.value)), raised.value
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["work"]


def test_bytes_in_a_table(tmp_path, tokenizer_config):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": [b"abc"]}), tmp_path / "raw")
    source = SourceConfig("parquet", str(tmp_path / "raw"))
    data = DataConfig(str(tmp_path / "data"), [source], workers=1)
    with pytest.raises(UserError, match="raw:1: no text in field text: text holds bytes, not text"):
        build(tokenizer_config, data)


def test_too_few_documents_for_a_split(make_data, tokenizer_config):
    with pytest.raises(UserError, match=r"validation file .* raise data\.val_fraction"):
        build(tokenizer_config, make_data(20, val_fraction=0.001))
    with pytest.raises(UserError, match=r"training file .* lower data\.val_fraction"):
        build(tokenizer_config, make_data(20, val_fraction=0.999))


def test_full_disk_leaves_the_old_files(make_data, tmp_path, tokenizer_config):
    build(tokenizer_config, make_data(300))
    before = contents(tmp_path / "data")
    data = make_data(20000, length=200)
    script = (
        "import resource, sys\n"
        "from common.errors import run_main\n"
        "from corpus.config import DataConfig, SourceConfig\n"
        "from corpus.pipeline import build\n"
        "from tokenizer.config import TokenizerConfig\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "source = SourceConfig('jsonl', sys.argv[2])\n"
        "data = DataConfig(sys.argv[3], [source], val_fraction=0.1, workers=1)\n"
        "run_main(lambda: build(TokenizerConfig(path=sys.argv[1]), data) and 0)\n"
    )
    arguments = [tokenizer_config.path, data.sources[0].path, data.dir]
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: cannot write {data.dir}/")
    assert result.stderr.count("\n") == 1
    assert contents(tmp_path / "data") == before


def test_crash_between_the_two_files_is_noticed(
    make_data, tokenizer, tokenizer_config, monkeypatch
):
    build(tokenizer_config, make_data(300))
    changed = make_data(310, seed=1)

    def crash(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("corpus.manifest.Manifest.save", crash)
        with pytest.raises(KeyboardInterrupt):
            build(tokenizer_config, changed)
    with pytest.raises(UserError, match=r"run python data_process\.py again"):
        for file in open_split(changed.dir):
            file.check(tokenizer)
    assert not build(tokenizer_config, changed).up_to_date


def test_memory_does_not_grow_with_the_corpus(make_data, tokenizer_config, monkeypatch):
    monkeypatch.setattr(pipeline, "SHARD_BYTES", 100_000)
    monkeypatch.setattr("corpus.packing.BUCKET_BYTES", 100_000)
    peaks = []
    for count in (1000, 6000):
        data = make_data(count)
        tracemalloc.start()
        build(tokenizer_config, data)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 200_000


def test_big_vocabulary_is_written_as_uint32(
    make_data, tokenizer_config, monkeypatch, random_texts, documents_of
):
    data = make_data()
    loaded = tokenizer_for(tokenizer_config, data)
    loaded.vocab_size = 70_000
    monkeypatch.setattr(pipeline, "tokenizer_for", lambda *args: loaded)
    assert build(tokenizer_config, data).train.dtype == "uint32"
    train = TokenFile.open(open_split(data.dir)[0].path)
    assert documents_of(train, loaded)[0] in random_texts(300)


def test_table_adds_both_files(make_data, tokenizer_config):
    report = build(tokenizer_config, make_data())
    header, row, total = format_report(report).splitlines()
    characters = report.train.characters + report.val.characters
    assert row.split()[2:5] == ["300", str(report.val.documents), f"{characters:,}"]
    assert row.split()[-5:] == ["0", "0", "300", "100.0%", "100.0%"]
    assert total.split()[1:] == row.split()[2:]
    assert len(header) == len(row) == len(total)
