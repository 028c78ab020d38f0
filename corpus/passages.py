"""Passages of a folder of documents, found by BM25 over characters and words.

The index is SQLite's FTS5 (https://sqlite.org/fts5.html): it comes with Python, keeps an index of
any size in one file that is read without loading it, and ranks by BM25. FTS5 knows no Chinese
words, so a passage is indexed as its characters, its pairs of neighbouring characters, which stand
for words, and its words and numbers in other scripts.
"""

import contextlib
import hashlib
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chat.messages import Message
from chat.passages import first_question_of, with_passages
from common.errors import UserError
from common.files import PathLike, disk_errors, fsync_folder

INDEX_NAME = ".passages.sqlite3"
FORMAT_VERSION = 2
SUFFIXES = (".txt", ".md")
PASSAGE_CHARS = 200
"""length of a passage, at most, but for a sentence that is longer"""
SENTENCE = re.compile(r"[^。！？!?\n]*(?:[。！？!?]+[”’」』）)]*|\.(?=\s)|\n|$)")
RUN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+|[^\W_]+")
MAX_TERMS = 64
"""terms of a question that are looked up; the pairs come first"""
COMMON, MANY = 0.1, 1000
"""a term in more than this share of the passages, and in so many, tells little and costs much"""
TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE passages (id INTEGER PRIMARY KEY, document TEXT, number INTEGER, text TEXT);
CREATE VIRTUAL TABLE terms USING fts5(
    content, content='', tokenize='unicode61 remove_diacritics 0'
);
"""
VOCABULARY = "CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, terms, row)"
FACT = "SELECT value FROM facts WHERE name = ?"
# The best are chosen before their texts are read.
SEARCH = """
SELECT document, number, text FROM (
    SELECT rowid AS id, bm25(terms) AS score FROM terms WHERE terms MATCH ?
    ORDER BY score, id LIMIT ?
) JOIN passages USING (id) ORDER BY score, id
"""


@dataclass(frozen=True)
class Passage:
    """A part of a document."""

    document: str
    """path of its file inside the folder"""
    number: int
    """counts the passages of the document, from 1"""
    text: str


class PassageIndex:
    """The passages of the .txt and .md files under a folder; `PassageIndex.open` makes one."""

    def __init__(self, file: Path):
        # Read only; SQLite itself keeps threads apart.
        uri = f"{file.resolve().as_uri()}?mode=ro"
        self.connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        self.common = frozenset(self._fact("common").split())

    @classmethod
    def open(cls, folder: PathLike) -> "PassageIndex":
        """The index of a folder, kept in it; it is built when there is none or files changed.

        Raises:
            UserError: there is no such folder, no document in it, or it cannot be written to.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise UserError(f"{folder} is not a folder of documents")
        files = sorted(
            path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file()
        )
        if not files:
            raise UserError(f"{folder} holds no document; put {' or '.join(SUFFIXES)} files there")
        fingerprint = _fingerprint(folder, files)
        file = folder / INDEX_NAME
        if _read_fingerprint(file) != fingerprint:
            with disk_errors(file):
                _build(folder, files, file, fingerprint)
        return cls(file)

    @property
    def fingerprint(self) -> str:
        """Changes with the documents."""
        return self._fact("fingerprint")

    def _fact(self, name: str) -> str:
        return self.connection.execute(FACT, (name,)).fetchone()[0]

    def __len__(self) -> int:
        return self.connection.execute("SELECT count(*) FROM passages").fetchone()[0]

    def search(self, question: str, n: int) -> list[Passage]:
        """The n passages that fit a question best, the best first; fewer where fewer fit.

        Common terms count only where there are too few passages without them.
        """
        found = terms(question)
        pairs = [term for term in found if len(term) > 1]
        chosen = list(dict.fromkeys([*pairs, *found]))[:MAX_TERMS]
        best = self._best([term for term in chosen if term not in self.common], n)
        return best if len(best) == n else self._best(chosen, n)

    def _best(self, chosen: Sequence[str], n: int) -> list[Passage]:
        if not chosen:
            return []
        match = " OR ".join(f'"{term}"' for term in chosen)
        return [Passage(*row) for row in self.connection.execute(SEARCH, (match, n))]

    def put_before(self, messages: Sequence[Message], n: int) -> list[Message]:
        """A dialogue with the n passages that fit its first question best."""
        found = self.search(first_question_of(messages), n)
        return with_passages(messages, [passage.text for passage in found])


def terms(text: str) -> list[str]:
    """What a text is found by: Chinese characters and pairs of them, and lower-case words."""
    found = []
    for run in RUN.findall(text.lower()):
        if _is_chinese(run[0]):
            found += run
            found += (run[i : i + 2] for i in range(len(run) - 1))
        else:
            found.append(run)
    return found


def _is_chinese(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff"


def split_passages(text: str) -> Iterator[str]:
    """Whole sentences, as many as fit a passage; a blank line ends one."""
    for block in re.split(r"\n\s*\n", text):
        passage = ""
        for sentence in SENTENCE.findall(block):
            if passage and len(passage) + len(sentence) > PASSAGE_CHARS:
                yield passage.strip()
                passage = ""
            passage += sentence
        if passage.strip():
            yield passage.strip()


def _fingerprint(folder: Path, files: Sequence[Path]) -> str:
    """Changes when a file is added, removed or written."""
    digest = hashlib.sha256(f"{FORMAT_VERSION} {PASSAGE_CHARS}\n".encode())
    for path in files:
        stat = path.stat()
        line = f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _read_fingerprint(file: Path) -> str | None:
    """That of the documents that an index was built from; None: there is no sound index."""
    if not file.is_file():
        return None
    with (
        contextlib.suppress(sqlite3.DatabaseError),
        contextlib.closing(sqlite3.connect(file)) as connection,
    ):
        row = connection.execute(FACT, ("fingerprint",)).fetchone()
        return row and row[0]
    return None


def _build(folder: Path, files: Sequence[Path], file: Path, fingerprint: str) -> None:
    """Write the index; it appears under its name only when it is whole."""
    temporary = file.with_name(f"{INDEX_NAME}.tmp-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        _write(folder, files, temporary, fingerprint)
        os.replace(temporary, file)
        fsync_folder(folder)
    except sqlite3.OperationalError as error:
        raise UserError(
            f"cannot write the index {file} ({error}); the folder of documents must be writable "
            "when it is first used"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _write(folder: Path, files: Sequence[Path], file: Path, fingerprint: str) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.executescript(TABLES)
        for path in files:
            name = path.relative_to(folder).as_posix()
            try:
                text = path.read_text(encoding="utf-8-sig")
            except UnicodeDecodeError as error:
                raise UserError(f"{path} is not UTF-8 text; convert it or take it away") from error
            for number, passage in enumerate(split_passages(text), 1):
                row = (name, number, passage)
                query = "INSERT INTO passages (document, number, text) VALUES (?, ?, ?)"
                place = connection.execute(query, row).lastrowid
                content = " ".join(terms(passage))
                connection.execute("INSERT INTO terms (rowid, content) VALUES (?, ?)",
                                   (place, content))  # fmt: skip
        connection.execute("INSERT INTO terms (terms) VALUES ('optimize')")
        connection.execute(VOCABULARY)
        n_passages = connection.execute("SELECT count(*) FROM passages").fetchone()[0]
        least = (max(MANY, COMMON * n_passages),)
        common = connection.execute("SELECT term FROM temp.vocabulary WHERE doc > ?", least)
        facts = {"fingerprint": fingerprint, "common": " ".join(term for (term,) in common)}
        connection.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
        connection.commit()
