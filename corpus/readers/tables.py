"""Readers of tables: Parquet and CSV."""

import csv
from collections.abc import Iterator
from functools import partial

from corpus.config import SourceConfig
from corpus.input_file import InputFile
from corpus.readers.records import joined, names_of, texts_of
from corpus.registry import reader

BATCH_ROWS = 64
BUFFER_BYTES = 1 << 20
# Where a quotation mark is missing, the cell goes on until the next one; it is cut off here.
MAX_CELL_CHARS = 16 << 20


@reader("parquet")
def read_parquet(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """One record a row; only the columns named by `field` are read."""
    names = names_of(source.field)
    return texts_of(parquet_rows(file, names), partial(joined, field=names), file)


@reader("csv")
def read_csv(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """One record a row, the names of the columns in the first, commas between the cells."""
    names = names_of(source.field)
    rows = csv_rows(file, source.encoding, names, "excel")
    return texts_of(rows, partial(joined, field=names), file)


@reader("tsv")
def read_tsv(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """One record a row, the names of the columns in the first, tabs between the cells."""
    names = names_of(source.field)
    rows = csv_rows(file, source.encoding, names, "excel-tab")
    return texts_of(rows, partial(joined, field=names), file)


def parquet_rows(file: InputFile, names: list[str]) -> Iterator[dict]:
    """The rows of a Parquet file, with the named columns only; without names all columns."""
    import pyarrow  # heavy, and needed for this format alone
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file.path, buffer_size=BUFFER_BYTES, pre_buffer=False) as table:
            if not _has_columns(file, names, table.schema_arrow.names):
                return
            n_rows, size = table.metadata.num_rows, file.path.stat().st_size
            if not n_rows:
                file.warn("the table has no row")
            for batch in table.iter_batches(BATCH_ROWS, columns=names or None):
                for row in batch.to_pylist():
                    file.record += 1
                    yield row
                file.position = size * file.record // n_rows
    except (OSError, UnicodeError, pyarrow.ArrowException) as error:
        file.damage(f"cannot be read past row {file.record:,} ({error})")


def csv_rows(file: InputFile, encoding: str, names: list[str], dialect: str) -> Iterator[dict]:
    """The rows of a table that has the named columns; broken rows are skipped."""
    csv.field_size_limit(MAX_CELL_CHARS)
    # A cell may hold line breaks, so the parser needs them.
    rows = csv.reader((line + "\n" for line in file.lines(encoding)), dialect)
    header: list[str] = []
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            file.skip(f"malformed row ({error})")
            continue
        if row and not header:
            header = row
            if not _has_columns(file, names, header):
                return
        elif row and len(row) != len(header):
            file.skip(f"the row has {len(row)} cells, the header {len(header)}")
        elif row:
            yield dict(zip(header, row))


def _has_columns(file: InputFile, names: list[str], columns: list[str]) -> bool:
    missing = [name for name in names if name not in columns]
    if missing:
        file.damage(
            f"no column {' or '.join(missing)} among {', '.join(columns)}",
            "name one of these as field in data.sources",
        )
    return not missing
