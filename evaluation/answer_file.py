"""A run's answers to held-out tasks, as a file that rewards.score reads.

python -m evaluation.answer_file out/poet-sft answers.jsonl --tasks data/poet-titles --limit 500
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.errors import UserError, run_main
from corpus.example_file import ExampleFile
from rewards.answer import write_answers
from runs.environment import prepare_environment


def main(argv: Sequence[str] | None = None) -> int:
    """Answer the validation tasks of a data folder and write the file."""
    options, overrides = _options().parse_known_args(argv)
    prepare_environment(Path(options.run))
    # MindSpore reads its environment when it is imported.
    from evaluation.answers import answer_tasks
    from runs.device import select_device
    from runs.run import Run

    run = Run.open(options.run, overrides)
    tasks = ExampleFile.open(options.tasks, "val")
    if tasks.kind != "task":
        raise UserError(f"{options.tasks} holds examples of kind {tasks.kind}, not of tasks")
    select_device(run.recipe.train.device)
    keys = [tasks.key(index) for index in range(min(options.limit, tasks.n_examples))]
    answers = answer_tasks(run, keys)
    write_answers(answers, options.answers)
    step = run.chosen_checkpoint.step
    print(f"{options.answers}: {len(answers):,} answers of {run.path}, step {step:,}")
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.answer_file",
        description=__doc__.splitlines()[0],
        epilog="Options of the run's recipe, such as --eval.temperature 0.7, go at the end.",
    )
    parser.add_argument("run", help="run directory, such as out/poet-sft")
    parser.add_argument("answers", help="file to write, a line of JSON for each answer")
    parser.add_argument("--tasks", required=True, help="data folder of a recipe of kind task")
    parser.add_argument("--limit", type=int, default=500, help="tasks to answer at most")
    return parser


if __name__ == "__main__":
    run_main(main)
