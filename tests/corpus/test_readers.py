import json

import pytest

import corpus.readers as readers
from common.errors import UserError
from corpus.config import DataConfig, SourceConfig
from corpus.input_file import InputFile
from corpus.registry import find_reader
from corpus.sources import find_sources


@pytest.fixture
def read(tmp_path):
    """Documents and number of skips of a file with this content: `read("jsonl", content)`."""

    def run(name, content, **options):
        path = tmp_path / "raw"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        file = InputFile(path)
        documents = list(find_reader(name).read(file, SourceConfig(name, str(path), **options)))
        assert file.position == path.stat().st_size
        return documents, file.skipped

    return run


def test_jsonl(read):
    assert read("jsonl", '{"text": "一"}\r\n\n{"text": "二"}') == (["一", "二"], 0)
    fields = {"field": ["title", "body"]}
    assert read("jsonl", '{"title": "题", "body": "文"}', **fields) == (["题\n文"], 0)


def test_byte_order_mark_is_dropped(read):
    assert read("jsonl", b'\xef\xbb\xbf{"text": "a"}') == (["a"], 0)
    assert read("json", b'\xef\xbb\xbf["a"]') == (["a"], 0)
    assert read("txt", b"\xef\xbb\xbfa") == (["a"], 0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "cut', "malformed JSON"),
        (b'{"other": "x"}', "no text in field text"),
        (b'{"text": 5}', "no text in field text"),
        (b"[1]", "no text in field text"),
        (b'{"text": "\\ud800"}', "half a surrogate pair"),
        (b'{"text": "\xc4\xe3"}', "not UTF-8"),
        (b"[" * 100_000, "malformed JSON"),
    ],
)
def test_bad_jsonl_line_is_skipped_counted_and_named(read, caplog, line, reason):
    content = b'{"text": "a"}\n' + line + b'\n{"text": "b"}\n'
    assert read("jsonl", content) == (["a", "b"], 1)
    assert "raw:2 skipped" in caplog.text
    assert reason in caplog.text


def test_only_the_first_skips_are_logged(read, caplog):
    assert read("jsonl", "{\n" * 50) == ([], 50)
    assert len(caplog.records) == 6


def test_json_list_of_records_and_strings(read):
    assert read("json", ' [ {"text": "一"}, "二",\n{"x": 1}, 3.5 ] \n') == (["一", "二"], 2)
    assert read("json", "[]") == ([], 0)


def test_json_list_longer_than_a_block(read):
    texts = [f"第{i}段" * (i % 7) * 50 for i in range(5000)] + ["长" * 3_000_000]
    documents, skipped = read("json", json.dumps(texts, ensure_ascii=False, indent=1))
    assert (documents, skipped) == (texts, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "a"}', "not a JSON list"),
        (b'["a", "b', "breaks in the entry that begins"),
        (b'["a", {bad}, "b"]', "breaks in the entry that begins '{bad}"),
        (b'["a", "\xff"]', r"not UTF-8 text \(byte 7\)"),
        (b"", "not a valid JSON list"),
    ],
)
def test_broken_json_list(read, content, message):
    with pytest.raises(UserError, match=message):
        read("json", content)


def test_broken_entry_is_not_searched_for_its_end_for_ever(read, monkeypatch):
    monkeypatch.setattr(readers, "MAX_ENTRY_CHARS", 1 << 20)
    with pytest.raises(UserError, match="breaks in the entry"):
        read("json", '["' + "x" * (3 << 20))


def test_txt_is_one_document(read):
    assert read("txt", "一\n\n二\n") == (["一\n\n二\n"], 0)


def test_txt_that_is_not_utf8(read):
    with pytest.raises(UserError, match=r"not UTF-8 text \(byte 3\); convert it.*iconv"):
        read("txt", "abc你好".encode("gb18030"))


def test_txt_blank(read):
    assert read("txt_blank", "\n\n一\n二\n \n\n三") == (["一\n二", "三"], 0)


def test_unknown_reader():
    with pytest.raises(UserError, match="'jsonline' is unknown; the readers are .*jsonl"):
        find_reader("jsonline")


def test_missing_file_and_empty_list(tmp_path):
    missing = DataConfig(sources=[SourceConfig("jsonl", str(tmp_path / "no-*.jsonl"))])
    with pytest.raises(UserError, match=r"no file matches .*no-\*\.jsonl"):
        find_sources(missing)
    with pytest.raises(UserError, match=r"data\.sources is empty"):
        find_sources(DataConfig())


def test_glob_finds_all_files_in_order_and_a_plain_name_is_no_pattern(tmp_path):
    for name in ("b.txt", "a.txt", "c[1].txt"):
        (tmp_path / name).write_text("x")
    for pattern, names in (("*.txt", ["a.txt", "b.txt", "c[1].txt"]), ("c[1].txt", ["c[1].txt"])):
        config = DataConfig(sources=[SourceConfig("txt", str(tmp_path / pattern))])
        assert [path.name for path in find_sources(config)[0].paths] == names
