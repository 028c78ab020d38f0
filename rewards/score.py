"""Score a file of answers: python -m rewards.score --reward poem answers.jsonl [--help]."""

import argparse
from collections.abc import Sequence

from common.errors import run_main
from common.intervals import wilson
from common.tables import format_table
from rewards.answer import Answer, read_answers
from rewards.poem.copies import Copies
from rewards.poem.held_out import VAL_FRACTION, split_poems
from rewards.poem.request import request_of
from rewards.registry import PASSED, find_family

COPY_CHARS = 8


def main(argv: Sequence[str] | None = None) -> int:
    """Print how often the answers of a file pass each rule."""
    options = _options().parse_args(argv)
    answers = read_answers(options.file)
    print(format_scores(answers, options.reward))
    if options.training:
        print(format_copies(answers, options.training, options.val_fraction))
    return 0


def format_scores(answers: Sequence[Answer], family: str) -> str:
    """A table of the rewards of a family: share of full marks with its 95 % interval, mean.

    Rewards of a batch take the file for one; they have a mean only.

    Raises:
        UserError: there is no reward of that name.
    """
    rewards, measures = find_family(family)
    rows = []
    for reward in rewards:
        values = reward.score_all(answers)
        passed = sum(value >= PASSED for value in values)
        rate = ["-", "-"] if reward.of_batch else _rate(passed, len(values))
        rows.append([reward.name, *rate, f"{sum(values) / len(values):.3f}"])
    table = format_table([["reward", "full marks", "95 % interval", "mean"], *rows])
    lines = [f"{name}: {function(answers):.3f}" for name, function in measures.items()]
    return "\n".join([f"{len(answers):,} answers", table, *lines])


def format_copies(answers: Sequence[Answer], poems: str, val_fraction: float) -> str:
    """How many poems hold a run of 8 characters, or a whole line, of a training poem.

    Raises:
        UserError: there is no file of poems.
    """
    trained, _ = split_poems(poems, val_fraction)
    runs = Copies(("".join(poem.lines) for poem in trained), COPY_CHARS)
    known = {line for poem in trained for line in poem.lines}
    found = [poem for poem in map(request_of, answers) if poem]
    copied = sum(runs.has(poem.text) for poem in found)
    lines = sum(any(line in known for line in poem.lines) for poem in found)
    rows = [
        ["copied from a training poem", "poems", "95 % interval"],
        [f"a run of {COPY_CHARS} characters", *_rate(copied, len(found))],
        ["a whole line", *_rate(lines, len(found))],
    ]
    return format_table(rows)


def _rate(count: int, total: int) -> list[str]:
    if not total:
        return ["-", "-"]
    low, high = wilson(count, total)
    return [f"{count / total:.1%}", f"{100 * low:.1f} to {100 * high:.1f}"]


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rewards.score", description=__doc__)
    parser.add_argument("file", help="a line of JSON with prompt and completion for each answer")
    parser.add_argument(
        "--reward", required=True, help="a reward, or the first part of the names of several: poem"
    )
    parser.add_argument(
        "--training", metavar="FILE", help="the poems trained on: counts what was copied from them"
    )
    parser.add_argument(
        "--val_fraction", type=float, default=VAL_FRACTION, help="share of them held out"
    )
    return parser


if __name__ == "__main__":
    run_main(main)
