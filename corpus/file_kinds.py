"""What a file is by its first bytes, where it is not what its reader takes it for.

An archive, a page or a pointer among texts would be trained on as if it were text.
"""

import codecs
import re
import zlib
from dataclasses import dataclass

HEAD_BYTES = 1 << 16
MIN_FOREIGN = 30
"""bytes of two and more byte characters that show beyond doubt that a text is UTF-8"""
MAX_CONTROL_SHARE = 0.05
# NUL is not counted, as broken disks leave it in texts.
CONTROL = bytes(set(range(1, 32)) - set(b"\t\n\v\f\r\x1a\x1b"))
ASCII = bytes(range(128))
UNPACK = "unpack it, and name the files in it in data.sources"
CONVERT = "take the text out of it first"
FETCH = "download the file itself"
RENAME = "give it a name that ends in {}, so that it is unpacked as it is read"

# How a file begins -> what it is, what to do.
SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a zip archive (as docx, xlsx, epub and npz are)", UNPACK),
    (b"PK\x05\x06", "an empty zip archive", FETCH),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!\x1a\x07", "a rar archive", UNPACK),
    (b"BZh91AY&SY", "packed with bzip2", RENAME.format(".bz2")),
    (b"\xfd7zXZ\0", "packed with xz", RENAME.format(".xz")),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", RENAME.format(".zst")),
    (b"\x04\x22\x4d\x18", "packed with lz4", "unpack it first"),
    (b"PAR1", "a Parquet file", "read it with the reader parquet"),
    (b"ARROW1\0\0", "an Arrow file", CONVERT),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", CONVERT),
    (b"\x93NUMPY", "a numpy array", "read ids with token_npz or token_bin, text from text files"),
    (b"SQLite format 3\0", "an SQLite database", CONVERT),
    (b"%PDF-", "a PDF document", CONVERT),
    (b"{\\rtf", "an RTF document", CONVERT),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (doc, xls, ppt)", CONVERT),
    (b"\x7fELF", "a program", "name files of text"),
    (b"version https://git-lfs", "the pointer that Git LFS leaves in place of a file", FETCH),
    (b"/annex/objects/", "the pointer that git-annex leaves in place of a file", FETCH),
)
PAGE = re.compile(rb"\s*(<!--.*?-->\s*)*<(!doctype html|html|head|body)[\s>]", re.I | re.S)
RECORD = re.compile(rb'\s*(\[\s*)?\{ *"[^"\n]{1,100}" *:')
XML = re.compile(rb"\s*<\?xml\s", re.I)
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32", ("utf-32", "utf-32-le")),
    (codecs.BOM_UTF32_BE, "utf-32", ("utf-32", "utf-32-be")),
    (codecs.BOM_UTF16_LE, "utf-16", ("utf-16", "utf-16-le")),
    (codecs.BOM_UTF16_BE, "utf-16", ("utf-16", "utf-16-be")),
    (codecs.BOM_UTF8, "utf-8", ("utf-8", "utf-8-sig")),
)
# What nearly all characters of a text in Chinese or English are.
COMMON = re.compile(r"[\t\n\r -~\u2010-\u203f\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")


@dataclass(frozen=True)
class Foreign:
    """A file that is not what its reader takes it for."""

    what: str
    """ends a sentence that begins `it is`"""
    remedy: str


def foreign_bytes(head: bytes) -> Foreign | None:
    """What a file is that begins with `head`, if that is an archive, a document or a pointer."""
    for begin, what, remedy in SIGNATURES:
        if head.startswith(begin):
            return Foreign(what, remedy)
    if _is_gzip(head):
        return Foreign("packed with gzip", RENAME.format(".gz"))
    if _is_tar(head):
        return Foreign("a tar archive", UNPACK)
    if PAGE.match(head.removeprefix(codecs.BOM_UTF8)):
        return Foreign("an HTML page, perhaps of a download that failed", CONVERT)
    if XML.match(head.removeprefix(codecs.BOM_UTF8)):
        return Foreign("an XML file", CONVERT)
    return None


def foreign_text(head: bytes, encoding: str) -> Foreign | None:
    """What a file is that begins with `head`, if that is no text in the encoding."""
    if found := foreign_bytes(head):
        return found
    name = codecs.lookup(encoding).name
    if (marked := marked_encoding(head)) and name not in marked[1]:
        shown = marked[0]
    elif name == "utf-8" and (wide := _wide_encoding(head)):
        shown = wide
    elif "\n".encode(encoding) != b"\n":
        return None
    elif name != "utf-8" and _is_utf8(head):
        shown = "utf-8"
    elif _control_share(head) > MAX_CONTROL_SHARE:
        return Foreign("binary, not text", "name files of text, or the reader of its format")
    else:
        return None
    return Foreign(f"text in {shown}, not in {encoding}", f"set encoding: {shown} in data.sources")


def foreign_record(head: bytes) -> Foreign | None:
    """Whether a file that begins with `head` holds JSON objects, among plain text."""
    if RECORD.match(head.removeprefix(codecs.BOM_UTF8)):
        return Foreign("JSON", "read it with the reader jsonl (an object a line) or json")
    return None


def marked_encoding(head: bytes) -> tuple[str, tuple[str, ...]] | None:
    """The encoding that a byte-order mark shows, and all names that are right for it."""
    return next(((name, right) for mark, name, right in MARKS if head.startswith(mark)), None)


def encoding_hint(head: bytes, given: str) -> str:
    """Continues a sentence on text that is not in the `given` encoding, where another fits."""
    if marked := marked_encoding(head):
        return f" but {marked[0]}"
    given = codecs.lookup(given).name
    fitting = (name for name in ("utf-8", "gb18030", "big5") if name != given)
    name = next((name for name in fitting if _decodes(head, name)), None)
    return f" but perhaps {name}" if name else ""


def _is_gzip(head: bytes) -> bool:
    """Two bytes say little, so something must come out."""
    if not head.startswith(b"\x1f\x8b\x08"):
        return False
    try:
        zlib.decompressobj(31).decompress(head)
    except zlib.error:
        return False
    return True


def _is_tar(head: bytes) -> bool:
    """A tar header holds the sum of its own bytes, the field of the sum taken as spaces."""
    block = head[:512]
    try:
        noted = int(block[148:156].strip(b"\0 "), 8)
    except ValueError:
        return False
    return len(block) == 512 and noted == sum(block[:148]) + 8 * 32 + sum(block[156:])


def _is_utf8(head: bytes) -> bool:
    return len(head.translate(None, ASCII)) >= MIN_FOREIGN and _decodes(head, "utf-8")


def _decodes(head: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(head)  # it may end within a character
    except UnicodeDecodeError:
        return False
    return True


def _wide_encoding(head: bytes) -> str | None:
    """UTF-16 that no byte-order mark announces: what it gives is common text, and UTF-8 is not."""
    if len(head) < 4 or (_decodes(head, "utf-8") and b"\0" not in head):
        return None
    for name in ("utf-16-le", "utf-16-be"):
        text = head[: len(head) // 2 * 2].decode(name, "replace")
        if len(COMMON.findall(text)) >= 0.95 * len(text):
            return name
    return None


def _control_share(head: bytes) -> float:
    return 1 - len(head.translate(None, CONTROL)) / len(head) if head else 0.0
