"""Rows of tables in plain text, also where quotation marks do not come in pairs.

A cell that begins with a quotation mark goes on to the next one, over any number of lines. So one
mark too few would take all rows up to the next quoted cell into one. Such a row is known by what
follows the mark that ends it, by the end of the file, or by the number of its cells.
"""

import csv
from collections.abc import Iterator

from corpus.input_file import InputFile

# Where a quotation mark is missing, so much is read in search of it.
MAX_CELL_CHARS = 16 << 20
# As RFC 4180 has it, a mark within a cell is doubled; others put a backslash before it.
STYLES = ({}, {"escapechar": "\\"})


class _Lines:
    """Lines of a file that can be read again, from the first that was not taken."""

    def __init__(self, file: InputFile, encoding: str):
        self._file = file
        self._lines = file.lines(encoding)
        self._ahead: list[tuple[int, str]] = []
        self._first = 0

    def ahead(self) -> Iterator[str]:
        """Lines with their ends, from the first that was not taken; none is taken by it."""
        index = self._first
        while index < len(self._ahead) or self._read():
            yield self._ahead[index][1]
            index += 1

    def span(self, count: int) -> list[str]:
        """The first `count` lines that were not taken."""
        return [line for _, line in self._ahead[self._first : self._first + count]]

    def take(self, count: int) -> None:
        """Be done with the first `count` lines; the file reports the number of the first."""
        self._file.record = self._ahead[self._first][0]
        self._first += count
        if 2 * self._first > len(self._ahead):  # seldom enough to cost little in a long list
            del self._ahead[: self._first]
            self._first = 0

    def _read(self) -> bool:
        line = next(self._lines, None)
        if line is not None:
            self._ahead.append((self._file.record, line + "\n"))
        return line is not None


def csv_rows(file: InputFile, encoding: str, delimiter: str) -> Iterator[list[str]]:
    """The rows of a table, the header first; blank, broken and repeated headers are left out."""
    csv.field_size_limit(MAX_CELL_CHARS)
    lines = _Lines(file, encoding)
    header: list[str] = []
    while next(lines.ahead(), None) is not None:
        row, n_lines = _row(lines, delimiter, len(header))
        lines.take(n_lines)
        if row is None:
            file.skip("malformed row: a cell is too long")
        elif not row:
            continue
        elif not header:
            header = row
            yield row
        elif len(row) != len(header):
            file.skip(f"the row has {len(row)} cells, the header {len(header)}")
        elif row == header:
            file.skip("the header is repeated")
        else:
            yield row


def _row(lines: _Lines, delimiter: str, n_cells: int) -> tuple[list[str] | None, int]:
    """The next row and the number of its lines; of `n_cells` if that is possible, 0: of any."""
    for style in STYLES:
        reader = csv.reader(lines.ahead(), delimiter=delimiter, strict=True, **style)
        try:
            row = next(reader)
        except csv.Error:
            continue
        if len(row) in (0, n_cells) or not n_cells or reader.line_num == 1:
            return row, reader.line_num
        span = [_unquoted(line, delimiter) for line in lines.span(reader.line_num)]
        if any(cells is None or len(cells) != n_cells for cells in span):
            return row, reader.line_num
    return _unquoted(lines.span(1)[0], delimiter), 1


def _unquoted(line: str, delimiter: str) -> list[str] | None:
    """The cells of one line whose quotation marks mean nothing; a pair around a cell is dropped."""
    reader = csv.reader([line], delimiter=delimiter, quoting=csv.QUOTE_NONE)
    try:
        cells = next(reader)
    except csv.Error:
        return None
    paired = (len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in cells)
    return [cell[1:-1] if pair else cell for cell, pair in zip(cells, paired)]
