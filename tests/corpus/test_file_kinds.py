import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import numpy as np
import pytest
import zstandard

TEXTS = [f"第{i}天，小明在河边读书，然后回家。" for i in range(60)]
TEXT = "\n".join(TEXTS)
EACH_READER = ["txt", "txt_lines", "txt_blank", "json", "jsonl", "csv", "tsv"]


def tar(kind=tarfile.USTAR_FORMAT, mode="w"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=kind) as archive:
        entry = tarfile.TarInfo("books/a.txt")
        entry.size = len(TEXT.encode())
        archive.addfile(entry, io.BytesIO(TEXT.encode()))
    return file.getvalue()


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", TEXT)
    return file.getvalue()


def numpy_file():
    file = io.BytesIO()
    np.save(file, np.arange(500, dtype="<u2"))
    return file.getvalue()


POINTER = b"version https://git-lfs.example/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
FOREIGN = {
    "a tar archive; unpack it": tar(),
    "a zip archive": zipped(),
    "packed with gzip": gzip.compress(TEXT.encode()),
    "packed with bzip2": bz2.compress(TEXT.encode()),
    "packed with xz": lzma.compress(TEXT.encode()),
    "packed with zstd": zstandard.ZstdCompressor().compress(TEXT.encode()),
    "the pointer that Git LFS leaves": POINTER,
    "the pointer that git-annex leaves": b"/annex/objects/SHA256E-s12--abc.txt\n",
    "an HTML page": b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n",
    "an XML file": b'<?xml version="1.0"?>\n<Error><Code>NoSuchKey</Code></Error>\n',
    "a Parquet file; read it with": b"PAR1\x15\x04\x15",
    "a numpy array": numpy_file(),
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
    "an old Office document": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100),
    "binary, not text": np.arange(2000, dtype="<u2").tobytes(),
    "text in utf-16, not in utf-8": TEXT.encode("utf-16"),
    "text in utf-16-le, not in utf-8": TEXT.encode("utf-16-le"),
    "text in utf-16-be, not in utf-8": TEXT.encode("utf-16-be"),
    "text in utf-32, not in utf-8": TEXT.encode("utf-32"),
}


@pytest.mark.parametrize("reader", EACH_READER)
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_text_is_left_out_and_named(read_raw, caplog, reader, kind):
    documents, file = read_raw(reader, FOREIGN[kind])
    assert (list(filter(None, documents)), file.damaged) == ([], True)
    what, _, remedy = kind.partition("; ")
    assert f"raw: it is {what}" in caplog.text
    assert f"so it is left out; {remedy}" in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize("reader", ["txt", "txt_lines"])
@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_packed_tar_is_known_whatever_its_name(read_raw, caplog, reader, kind):
    packed = gzip.compress(tar(kind))
    for name in ("books.tar.gz", "books.gz", "books.txt.gz"):
        assert not any(read_raw(reader, packed, name=name)[0])
    assert caplog.text.count("it is a tar archive, so it is left out; unpack it") == 3
    assert not any(read_raw(reader, packed, name="books.tgz")[0])
    assert (
        "it is packed with gzip, so it is left out; give it a name that ends in .gz" in caplog.text
    )


@pytest.mark.parametrize("reader", ["txt", "txt_lines", "txt_blank"])
@pytest.mark.parametrize("content", ['{"text": "一"}\n{"text": "二"}\n', '[\n {"text": "一"}]'])
def test_json_among_plain_texts(read_raw, caplog, reader, content):
    assert not any(read_raw(reader, content)[0])
    assert "it is JSON, so it is left out; read it with the reader jsonl" in caplog.text


@pytest.mark.parametrize("reader", ["parquet", "token_npz", "token_bin"])
@pytest.mark.parametrize(
    "kind", ["an HTML page", "the pointer that Git LFS leaves", "a tar archive"]
)
def test_what_is_no_table_and_no_ids(tmp_path, caplog, reader, kind):
    from corpus.config import SourceConfig
    from corpus.input_file import InputFile
    from corpus.registry import find_reader

    path = tmp_path / "raw"
    path.write_bytes(next(FOREIGN[name] for name in FOREIGN if name.startswith(kind)))
    found, file = find_reader(reader), InputFile(path)
    more = (2,) if found.tokens else ()
    assert list(found.read(file, SourceConfig(reader, str(path)), *more)) == []
    assert file.damaged
    assert f"it is {kind}" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "PK 是一种格式。\n",
        "<p>一段</p>\n",
        "{一}\n",
        "[1] 参见\n",
        "{\n",
        '"text": 一',
        "BZh 是什么",
        "\x1b[31m红\x1b[0m",
        "ab\n" * 50,
        "😀😁😂🤣😃😄😅😆😉😊\n",
        "Ω≈ç√∫˜µ≤≥÷ åß∂ƒ©˙∆˚¬\n",
        "ไทย ភាសា\n",
    ],
)
def test_texts_that_are_texts(read_raw, text):
    for reader in ("txt", "txt_lines"):
        documents, file = read_raw(reader, text)
        assert "\n".join(documents).strip() == text.strip()
        assert not file.damaged


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("utf-8", "gb18030"),
        ("utf-8", "big5"),
        ("utf-8", "latin-1"),
        ("utf-8-sig", "gb18030"),
        ("utf-8-sig", "utf-16"),
        ("utf-16", "gb18030"),
        ("utf-16", "utf-16-be"),
    ],
)
def test_another_encoding_than_the_one_named(read_raw, caplog, written, named):
    for reader in ("txt", "txt_lines", "jsonl", "json", "csv"):
        caplog.clear()
        documents, file = read_raw(reader, TEXT.encode(written), encoding=named)
        assert (list(filter(None, documents)), file.damaged) == ([], True)
        shown = written.removesuffix("-sig")
        assert f"it is text in {shown}, not in {named}, so it is left out; " in caplog.text
        assert f"set encoding: {shown} in data.sources" in caplog.text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16", "utf-8-sig", "gb18030", "utf-32"])
def test_the_right_encoding(read_raw, encoding):
    documents, file = read_raw("txt_lines", TEXT.encode(encoding), encoding=encoding)
    assert (documents, file.skipped, file.damaged) == (TEXTS, 0, False)


def test_the_hint_is_never_the_encoding_that_was_given(read_raw, caplog):
    lines = TEXT.encode() + b"\n\xff\xff\xff\n" + "繁體".encode("big5")
    for given in ("utf-8", "gb18030", "big5", "ascii"):
        caplog.clear()
        read_raw("txt", b"a" + lines, encoding=given)
        assert "left out" in caplog.text or "not " + given in caplog.text
        assert f"perhaps {given}" not in caplog.text
    read_raw("txt", "你好，世界".encode("gb18030"))
    assert "byte 0 is not utf-8 but perhaps gb18030; name the encoding" in caplog.text


JOINED = {
    "txt_lines": "一\n\ufeff二\n\ufeff三\n",
    "txt": "一\n\ufeff二\n\ufeff三\n",
    "txt_blank": "一\n\n\ufeff二\n\n\ufeff三\n",
    "jsonl": '{"text": "一"}\n\ufeff{"text": "二"}\n\ufeff{"text": "三"}\n',
    "json": '{"text": "一"}\n\ufeff{"text": "二"}\n\ufeff{"text": "三"}\n',
    "csv": "id,text\n1,一\n\ufeffid,text\n1,二\n\ufeff2,三\n",
}


@pytest.mark.parametrize("reader", JOINED)
def test_byte_order_marks_in_the_middle_of_joined_files(read_raw, reader):
    documents, file = read_raw(reader, JOINED[reader].encode("utf-8-sig"))
    assert "\n".join(documents).split() == ["一", "二", "三"]
    assert (file.skipped, file.damaged) == (int(reader == "csv"), False)


ENDED = {
    "txt": "一\r\n二\r三\r\n",
    "txt_blank": "一\r\n二\r三\r\n",
    "jsonl": '{"text": "一\\r\\n二\\r三\\r\\n"}\r\n',
    "json": '["一\\r\\n二\\r三\\r\\n"]\r\n',
    "csv": 'id,text\r\n1,"一\r\n二\r三\r\n"\r\n',
}


@pytest.mark.parametrize("reader", ENDED)
def test_line_ends_are_the_same_for_all_readers(read_raw, reader):
    (document,), file = read_raw(reader, ENDED[reader])
    assert document.strip("\n") == "一\n二\n三"


def test_line_ends_in_parquet(read_raw, tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": ["一\r\n二\r三"]}), tmp_path / "made")
    assert read_raw("parquet", (tmp_path / "made").read_bytes())[0] == ["一\n二\n三"]
