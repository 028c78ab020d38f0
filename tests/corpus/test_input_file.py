import bz2
import gzip
import lzma
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

import corpus.input_file as input_file
from corpus.config import SourceConfig
from corpus.input_file import InputFile

PACKERS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
each_packing = pytest.mark.parametrize("suffix", PACKERS)
LINES = [f'{{"text": "第{i}行，{i * i}"}}' for i in range(20_000)]
TEXTS = [f"第{i}行，{i * i}" for i in range(20_000)]
CONTENT = "\n".join(LINES).encode()


@each_packing
def test_packed_files_are_unpacked(read_raw, suffix):
    packed = PACKERS[suffix](CONTENT)
    for name in (f"raw.jsonl{suffix}", f"raw.jsonl{suffix.upper()}"):
        documents, file = read_raw("jsonl", packed, name=name)
        assert documents == TEXTS
        assert (file.position, file.damaged) == (len(packed), False)


@each_packing
def test_archives_one_after_another_are_one_file(read_raw, suffix):
    pack = PACKERS[suffix]
    packed = pack(b'{"text": "a"}\n') + pack(b'{"text": "b"}\n')
    assert read_raw("jsonl", packed, name=f"raw{suffix}")[0] == ["a", "b"]
    assert read_raw("txt", pack(b"a") + pack(b"b"), name=f"raw.txt{suffix}")[0] == ["ab"]
    assert read_raw("json", pack(b'["a", ') + pack(b'"b"]'), name=f"r{suffix}")[0] == ["a", "b"]


@each_packing
@pytest.mark.parametrize("harm", ["cut", "flipped", "no archive"])
def test_damaged_archive_gives_what_comes_before(read_raw, caplog, suffix, harm):
    # Archives of their own, as parallel packers write them; bz2 checks each only at its end.
    packed = b"".join(PACKERS[suffix](CONTENT[i : i + 100_000]) for i in range(0, 400_000, 100_000))
    middle = len(packed) * 5 // 8
    if harm == "cut":
        packed = packed[:middle]
    elif harm == "flipped":
        packed = packed[:middle] + b"\xff" * 100 + packed[middle + 100 :]
    else:
        packed = CONTENT
    documents, file = read_raw("jsonl", packed, name=f"raw.jsonl{suffix}")
    intact = 5000 if harm != "no archive" else 0
    assert documents[:intact] == TEXTS[:intact]
    assert len(documents) > intact or not intact
    assert file.damaged
    sentences = [record.getMessage() for record in caplog.records]
    (sentence,) = [each for each in sentences if "cannot be read past byte " in each]
    assert sentence.startswith(f"{file.path}: ")
    assert sentence.endswith("); what comes before is used, repair the file to have the rest")


def test_cut_archive_of_one_document(read_raw):
    for cut in range(20, 29):
        documents, file = read_raw("txt", gzip.compress("一二三四五六".encode(), 0)[:cut], "raw.gz")
        assert "一二三四五六".startswith(documents[0])
        assert (len(documents[0]), file.skipped, file.damaged) == ((cut - 15) // 3, 0, True)


def test_missing_file_folder_and_empty_file(tmp_path, caplog):
    (tmp_path / "empty.gz").write_bytes(b"")
    for name in ("gone.jsonl", "gone.zst", "", "empty.gz"):
        file = InputFile(tmp_path / name)
        assert list(file.lines("utf-8")) == []
        assert file.damaged == (name != "empty.gz")
    assert "gone.jsonl: cannot be read past byte 0 (No such file or directory)" in caplog.text
    assert "(Is a directory)" in caplog.text


@pytest.mark.parametrize("encoding", ["gb18030", "gbk", "big5", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_encodings(read_raw, encoding, suffix):
    texts = ["第一行，文字", "第二行：字", "ଊ三" if encoding.startswith("utf") else "三"]
    for name, content, expected in [
        ("txt", "\n".join(texts), ["\n".join(texts)]),
        ("txt_lines", "\r\n".join(texts), texts),
        ("jsonl", "\n".join(f'{{"text": "{text}"}}' for text in texts), texts),
        ("json", '["' + '", "'.join(texts) + '"]', texts),
        ("csv", "id,text\n" + "\n".join(f'1,"{text}"' for text in texts), texts),
    ]:
        raw = content.encode(encoding)
        if suffix:
            raw = gzip.compress(raw)
        documents, file = read_raw(name, raw, name="raw" + suffix, encoding=encoding)
        assert (documents, file.skipped, file.damaged) == (expected, 0, False)


def test_bytes_that_are_not_in_the_encoding(read_raw, caplog):
    lines = "一\n二\n".encode("gb18030") + b"\xff\xff\n" + "三".encode("gb18030")
    assert read_raw("txt_lines", lines, encoding="gb18030")[0] == ["一", "二", "三"]
    assert "raw:3 skipped: byte 0 of the line is not gb18030" in caplog.text
    documents, file = read_raw("txt", "abc你好".encode("gb18030"))
    assert (documents, file.skipped) == ([""], 1)
    assert (
        "byte 3 is not utf-8 but perhaps gb18030; name the encoding of the file in" in caplog.text
    )
    wide = "一\n二\n".encode("utf-16-le") + b"\x00\xd8\n\x00"
    documents, file = read_raw("txt_lines", wide, encoding="utf-16-le")
    assert (file.skipped, file.damaged) == (0, True)


def test_unknown_encoding():
    for name in ("gb-18030-x", "hex"):
        with pytest.raises(ValueError, match=f"data.sources: encoding '{name}' is not known"):
            SourceConfig("txt", "raw", encoding=name)


@pytest.mark.parametrize("reader", ["jsonl", "json"])
def test_nul_characters_are_removed_and_said_once(read_raw, caplog, reader):
    content = '{"text": "a\0b"}\n{"text": "\\u0000c"}\n' + "\0" * 100 + '\n{"text": "d"}\n'
    documents, file = read_raw(reader, content)
    if reader == "jsonl":
        assert documents == ["ab", "c", "d"]
        assert (file.skipped, file.damaged) == (0, False)
        assert caplog.text.count("record 1 holds NUL characters; they are removed") == 1
    else:
        assert documents == []
        assert "entry 1, which begins" in caplog.text


def test_long_line_is_skipped(read_raw, monkeypatch, caplog):
    monkeypatch.setattr(input_file, "MAX_RECORD_BYTES", 1 << 20)
    monkeypatch.setattr(input_file, "BLOCK_BYTES", 1 << 10)
    long = "x" * (3 << 20)
    content = f"a\n{long}\nb\n{'y' * (1 << 20)}\n{'z' * ((1 << 20) - 1)}\n{long}"
    for encoding in ("utf-8", "utf-16-le"):
        documents, file = read_raw("txt_lines", content.encode(encoding), encoding=encoding)
        assert documents[:2] == ["a", "b"]
        assert [len(document) for document in documents[2:]] == [(1 << 20) - 1]
        assert file.skipped == 3
    assert "raw:2 skipped: the line is longer than 1 MiB" in caplog.text
    documents, file = read_raw("txt", content)
    assert (documents, file.skipped) == ([""], 1)
    assert "the file is longer than 1 MiB, too long to be one document" in caplog.text


PEAK_SCRIPT = """
import resource, sys
from pathlib import Path
from corpus.config import SourceConfig
from corpus.input_file import InputFile
from corpus.registry import find_reader

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

import pyarrow  # before the first measurement
name, path = sys.argv[1:]
read = find_reader(name).read
before = peak()
file = InputFile(Path(path))
documents = list(read(file, SourceConfig(name, path)))
print(len(documents), file.skipped, file.damaged, peak() - before)
"""


@pytest.mark.parametrize(
    ("reader", "content", "expected"),
    [
        # documents, skipped, damaged of a, a line of 200 MB, b
        ("jsonl", b'{"text": "%s"}', "2 1 False"),
        ("json", b'"%s"', "1 0 True"),
        ("txt", b"%s", "1 1 False"),
    ],
)
def test_line_of_200_mb_costs_little_memory(tmp_path, reader, content, expected):
    path = tmp_path / "raw.zst"
    with zstandard.ZstdCompressor().stream_writer(open(path, "wb")) as file:
        for text in (b"a", None, b"b"):
            before, after = (content % (text or b"|")).split(text or b"|")
            file.write(before + (text or b""))
            for _ in range(200 if text is None else 0):
                file.write("长度".encode() * (1_000_000 // 6))
            file.write(after + b"\n")
    result = subprocess.run(
        [sys.executable, "-c", PEAK_SCRIPT, reader, str(path)],
        capture_output=True,
        text=True,
        cwd=Path(input_file.__file__).parent.parent,
    )
    assert result.returncode == 0, result.stderr
    *outcome, peak_mib = result.stdout.split()
    assert " ".join(outcome) == expected
    assert int(peak_mib) < 200
