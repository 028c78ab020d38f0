"""Score a file of answers: python -m rewards.score --reward poem answers.jsonl [--help]."""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from common.errors import run_main
from common.files import PathLike, atomic_open
from common.intervals import wilson
from common.tables import format_table
from rewards.answer import Answer, read_answers
from rewards.poem.copies import Copies
from rewards.poem.held_out import VAL_FRACTION, split_poems
from rewards.poem.request import request_of
from rewards.registry import MODEL, PASSED, Reward, find_family
from runs.environment import prepare_environment

COPY_CHARS = 8
Scores = dict[Reward, list[float]]
"""Numbers of answers, in their order, by the reward that gives them; NaN: not scored."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print how often the answers of a file pass each rule."""
    options = _options().parse_args(argv)
    answers = read_answers(options.file)
    if options.reward.startswith(MODEL):
        _prepare_device(options.reward.removeprefix(MODEL))
    scores = score(answers, options.reward)
    print(format_scores(scores, answers, options.reward))
    if options.output:
        write_scores(scores, answers, options.output)
        print(f"wrote {options.output}")
    if options.training:
        print(format_copies(answers, options.training, options.val_fraction))
    return 0


def score(answers: Sequence[Answer], family: str) -> Scores:
    """The numbers of answers under the rewards of a family. Rewards of a batch take all for one.

    Raises:
        UserError: there is no reward of that name.
    """
    return {reward: reward.score_all(answers) for reward in find_family(family)[0]}


def format_scores(scores: Scores, answers: Sequence[Answer], family: str) -> str:
    """A table of the rewards of a family: share of full marks with its 95 % interval, mean.

    Rewards of a batch have a mean only, and so have those of a model, which have no full marks.
    """
    measures, rows = find_family(family)[1], []
    for reward, values in scores.items():
        known = [value for value in values if not math.isnan(value)]
        passed = sum(value >= PASSED for value in known)
        no_marks = reward.of_batch or reward.vocabulary is not None
        rate = ["-", "-"] if no_marks else _rate(passed, len(known))
        mean = f"{sum(known) / len(known):.3f}" if known else "-"
        left_out = f"; {len(values) - len(known):,} not scored" if len(known) < len(values) else ""
        rows.append([reward.name, *rate, mean + left_out])
    table = format_table([["reward", "full marks", "95 % interval", "mean"], *rows])
    lines = [f"{name}: {function(answers):.3f}" for name, function in measures.items()]
    return "\n".join([f"{len(answers):,} answers", table, *lines])


def write_scores(scores: Scores, answers: Sequence[Answer], path: PathLike) -> None:
    """Write answers with their numbers, an object of JSON a line; null: not scored."""
    with atomic_open(path, "w") as file:
        for row, answer in enumerate(answers):
            numbers = {reward.name: values[row] for reward, values in scores.items()}
            numbers = {name: None if math.isnan(v) else v for name, v in numbers.items()}
            line = {**asdict(answer), "rewards": numbers}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


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


def _prepare_device(run: str) -> None:
    """Make MindSpore ready for the reward model of a run."""
    prepare_environment(Path(run))
    # MindSpore reads its environment when it is imported.
    from runs.device import select_device

    select_device("auto")


def _rate(count: int, total: int) -> list[str]:
    if not total:
        return ["-", "-"]
    low, high = wilson(count, total)
    return [f"{count / total:.1%}", f"{100 * low:.1f} to {100 * high:.1f}"]


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rewards.score", description=__doc__)
    parser.add_argument("file", help="a line of JSON with prompt and completion for each answer")
    parser.add_argument(
        "--reward",
        required=True,
        help="a reward, the first part of the names of several, such as poem, or the run directory "
        "of a reward model: model:out/reward",
    )
    parser.add_argument("--output", metavar="FILE", help="answers with their numbers go here")
    parser.add_argument(
        "--training", metavar="FILE", help="the poems trained on: counts what was copied from them"
    )
    parser.add_argument(
        "--val_fraction", type=float, default=VAL_FRACTION, help="share of them held out"
    )
    return parser


if __name__ == "__main__":
    run_main(main)
