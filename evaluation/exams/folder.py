"""Questions from a local folder, in the form in which the project publishes them."""

import csv
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.errors import UserError
from evaluation.exams.benchmarks import LETTERS, Benchmark, Question


def choose_subjects(benchmark: Benchmark, wanted: Sequence[str] | None) -> list[str]:
    """The subjects to examine; None: all.

    Raises:
        UserError: the exam has no subject of that name.
    """
    known = sorted(benchmark.subjects())
    for name in wanted or ():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"for example {known[0]}"
            raise UserError(f"{benchmark.title} has no subject {name!r}; {hint}")
    return list(dict.fromkeys(wanted)) if wanted else known


def read_questions(
    benchmark: Benchmark, folder: Path, subjects: Sequence[str]
) -> dict[str, dict[str, list[Question]]]:
    """Questions of each split of each subject.

    Raises:
        UserError: a file is missing, or a row of one is not a question.
    """
    if not folder.is_dir():
        raise UserError(f"the folder of {benchmark.title}, {folder}, does not exist")
    missing = [
        name
        for subject in subjects
        for pattern in benchmark.files.values()
        if not (folder / (name := pattern.format(subject))).is_file()
    ]
    if missing:
        more = f" and {len(missing) - 1} more files" if len(missing) > 1 else ""
        raise UserError(
            f"{folder} lacks {missing[0]}{more}; {benchmark.title} has a file for each subject "
            "and split: copy all of them, or name the subjects that are there with --subjects"
        )
    return {
        subject: {
            split: list(_read_file(benchmark, folder / pattern.format(subject)))
            for split, pattern in benchmark.files.items()
        }
        for subject in subjects
    }


def _read_file(benchmark: Benchmark, path: Path) -> Iterator[Question]:
    columns = benchmark.columns
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines(keepends=True)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a UTF-8 csv file ({error}); copy it again") from error
    begin, places = 0, range(len(columns))
    if benchmark.header:
        header = rows[0] if rows else []
        lacking = [name for name in columns if name not in header]
        if lacking:
            raise UserError(
                f"{path} has no column {lacking[0]!r}; {benchmark.title} has the columns "
                f"{', '.join(columns)}"
            )
        begin, places = 1, [header.index(name) for name in columns]
    width = len(rows[0]) if benchmark.header else len(columns)
    if len(rows) == begin:
        raise UserError(f"{path} holds no question; copy it again")
    for number, row in enumerate(rows[begin:], begin + 1):
        if len(row) != width:
            raise UserError(
                f"{path}, row {number} has {len(row)} cells where {width} belong; correct the row"
            )
        text, *choices, answer = (row[place].strip() for place in places)
        if answer not in tuple(LETTERS) or not text:
            raise UserError(
                f"{path}, row {number} needs a question and one of A, B, C, D as its answer, "
                f"but it is {answer!r}; correct the row"
            )
        yield Question(text, tuple(choices), answer)
