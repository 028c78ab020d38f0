"""Readers of plain text."""

import itertools
from collections.abc import Iterator

from corpus.config import SourceConfig
from corpus.input_file import InputFile
from corpus.registry import reader

# A longer document is skipped; this bounds the memory.
MAX_DOCUMENT_CHARS = 32 << 20


@reader("txt")
def read_txt(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """The whole file is one document."""
    yield file.text(source.encoding)


@reader("txt_lines")
def read_txt_lines(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """Each line is a document."""
    yield from file.lines(source.encoding, plain=True)


@reader("txt_blank")
def read_txt_blank(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """Documents with blank lines between them."""
    document: list[str] = []
    size = 0
    for line in itertools.chain(file.lines(source.encoding, plain=True), [""]):
        if line.strip():
            size += len(line)
            if size <= MAX_DOCUMENT_CHARS:
                document.append(line)
        else:
            if size > MAX_DOCUMENT_CHARS:
                file.skip(f"no blank line in {MAX_DOCUMENT_CHARS >> 20} million characters")
            elif document:
                yield "\n".join(document)
            document, size = [], 0
