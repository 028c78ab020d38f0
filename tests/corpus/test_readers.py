import json

import pytest

import corpus.readers.json_text as json_text
import corpus.readers.plain_text as plain_text
from common.errors import UserError
from corpus.registry import find_reader


@pytest.fixture
def read(read_raw):
    """Documents and number of skips of a whole file: `read("jsonl", content)`."""

    def run(name, content, **options):
        documents, file = read_raw(name, content, **options)
        assert file.position == file.path.stat().st_size
        assert not file.damaged
        return documents, file.skipped

    return run


def test_jsonl(read):
    assert read("jsonl", '{"text": "一"}\r\n\n{"text": "二"}') == (["一", "二"], 0)
    fields = {"field": ["title", "body"]}
    assert read("jsonl", '{"title": "题", "body": "文"}', **fields) == (["题\n文"], 0)


def test_fields_are_joined_without_the_null_the_empty_and_the_repeated(read):
    fields = {"field": ["title", "desc", "answer"]}
    for desc in ("null", '""', '"题"'):
        line = f'{{"title": "题", "desc": {desc}, "answer": "答"}}'
        assert read("jsonl", line, **fields) == (["题\n答"], 0)
    assert read("jsonl", '{"title": "题", "desc": "述"}', **fields) == ([], 1)
    assert read("jsonl", '{"title": null, "desc": null, "answer": null}', **fields) == ([], 1)


@pytest.mark.parametrize("reader", ["jsonl", "json"])
def test_a_list_of_texts_is_joined_by_line_breaks(read, reader):
    poem = '{"title": "春晓", "paragraphs": ["春眠不觉晓，", "处处闻啼鸟。"], "tags": []}'
    assert read(reader, poem, field="paragraphs") == (["春眠不觉晓，\n处处闻啼鸟。"], 0)
    both = {"field": ["title", "paragraphs", "tags"]}
    assert read(reader, poem, **both) == (["春晓\n春眠不觉晓，\n处处闻啼鸟。"], 0)
    assert read(reader, poem, field="tags") == ([""], 0)
    assert read(reader, '{"paragraphs": ["一", 2]}', field="paragraphs") == ([], 1)


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
        (b'{"text": null}', "no text in field text"),
        (b"[1]", "no text in field text"),
        (b'{"text": "\\ud800"}', "half a surrogate pair"),
        (b'{"text": "\xc4\xe3"}', "byte 10 of the line is not utf-8"),
        (b'{"text": ' + b"[" * 100_000, "malformed JSON"),
        (b'{"text": ' + b"1" * 5000 + b"}", "malformed JSON"),
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
    assert read("json", "") == ([], 0)


def test_json_records_without_a_list(read):
    assert read("json", '{"text": "一"}') == (["一"], 0)
    assert read("json", '{\n "text": "一"\n}\n{"text": "二"}\n') == (["一", "二"], 0)


def test_json_list_longer_than_a_block(read):
    texts = [f"第{i}段" * (i % 7) * 50 for i in range(5000)] + ["长" * 3_000_000]
    assert read("json", json.dumps(texts, ensure_ascii=False, indent=1)) == (texts, 0)


def test_json_entry_that_is_not_text_is_skipped(read, caplog):
    assert read("json", b'["a", "\xff", "\\ud800", "b"]') == (["a", "b"], 2)
    assert "raw:2 skipped: half a surrogate pair, or bytes that are not utf-8" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('["a", "b', "ends before the end of entry 2 or of the list"),
        ('["a",', "ends before the end of entry 2 or of the list"),
        ('{"text": "a"} {"te', "ends before the end of entry 2"),
        ('["a", {bad}, "b"' + " " * 100, "entry 2, which begins '{bad}"),
        ('["a", ' + "[" * 100_000, "entry 2, which begins '[[[["),
    ],
)
def test_entries_before_a_broken_one_are_kept(read_raw, caplog, content, message):
    documents, file = read_raw("json", content)
    assert (documents, file.damaged) == (["a"], True)
    assert message in caplog.text
    assert len(caplog.records) == 1
    assert caplog.text.strip().endswith(
        "what comes before is used, repair the file to have the rest"
    )


@pytest.mark.parametrize("cut", range(1, 24))
def test_entries_are_found_wherever_a_block_ends(read, monkeypatch, cut):
    monkeypatch.setattr("corpus.input_file.BLOCK_BYTES", cut)
    content = '["\\u4e00\\"\\ud83d\\ude00", {"text": "二"}, true, null, "三"]'
    assert read("json", content) == (['一"😀', "二", "三"], 2)


def test_broken_entry_is_not_searched_for_its_end_for_ever(read_raw, monkeypatch, caplog):
    monkeypatch.setattr(json_text, "MAX_ENTRY_CHARS", 1 << 20)
    documents, file = read_raw("json", '["a", "' + "x" * (9 << 20))
    assert documents == ["a"]
    assert "entry 2, which begins '\"xxx" in caplog.text
    assert file.position < 6 << 20


def test_plain_text(read):
    assert read("txt", "一\n\n二\n") == (["一\n\n二\n"], 0)
    assert read("txt_lines", "一\n\n二\r\n") == (["一", "", "二"], 0)
    assert read("txt_blank", "\n\n一\n二\n \n\n三") == (["一\n二", "三"], 0)


def test_document_that_finds_no_end_is_skipped(read, monkeypatch, caplog):
    monkeypatch.setattr(plain_text, "MAX_DOCUMENT_CHARS", 20)
    content = "一\n\n" + "二二二二\n" * 6 + "\n三"
    assert read("txt_blank", content) == (["一", "三"], 1)
    assert "skipped: no blank line in" in caplog.text


def test_unknown_reader():
    with pytest.raises(UserError, match="'jsonline' is unknown; the readers are .*jsonl"):
        find_reader("jsonline")
