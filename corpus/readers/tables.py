"""Readers of tables: Parquet and CSV."""

from collections.abc import Iterator
from functools import partial

from corpus.config import SourceConfig
from corpus.input_file import InputFile
from corpus.readers.csv_rows import csv_rows
from corpus.readers.records import joined, names_of, texts_of
from corpus.registry import reader

BATCH_ROWS = 64
BUFFER_BYTES = 1 << 20


@reader("parquet")
def read_parquet(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """One record a row; only the columns named by `field` are read."""
    names = names_of(source.field)
    return texts_of(parquet_rows(file, names), partial(joined, field=names), file)


@reader("csv")
def read_csv(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """One record a row, the names of the columns in the first, commas between the cells."""
    return _csv_texts(file, source, ",")


@reader("tsv")
def read_tsv(file: InputFile, source: SourceConfig) -> Iterator[str]:
    """One record a row, the names of the columns in the first, tabs between the cells."""
    return _csv_texts(file, source, "\t")


def parquet_rows(file: InputFile, names: list[str]) -> Iterator[dict]:
    """The rows of a Parquet file, with the named columns only; without names all columns."""
    import pyarrow  # heavy, and needed for this format alone
    from pyarrow import parquet

    if not file.begins_with(b"PAR1"):
        return
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


def _csv_texts(file: InputFile, source: SourceConfig, delimiter: str) -> Iterator[str]:
    names = names_of(source.field)
    records = csv_records(file, source.encoding, delimiter, names)
    yield from texts_of(records, partial(joined, field=names), file)


def csv_records(
    file: InputFile, encoding: str, delimiter: str, names: list[str]
) -> Iterator[dict[str, str]]:
    """The rows of a table that has the named columns."""
    rows = csv_rows(file, encoding, delimiter)
    header = next(rows, [])
    if header and _has_columns(file, names, header):
        yield from (dict(zip(header, row)) for row in rows)


def _has_columns(file: InputFile, names: list[str], columns: list[str]) -> bool:
    missing = [name for name in names if name not in columns]
    if missing:
        file.damage(
            f"no column {' or '.join(missing)} among {', '.join(columns)}",
            "name one of these as field in data.sources",
        )
    return not missing
