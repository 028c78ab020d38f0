"""How many poems of each stage of a training keep the rules, beside those of the poets.

python -m evaluation.poem_report out/poet-base out/poet-sft out/poet-grpo --tasks data/poet-titles
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.errors import UserError, run_main
from common.files import atomic_open
from corpus.example_file import ExampleFile
from rewards.answer import write_answers
from rewards.poem.copies import Copies
from rewards.poem.held_out import as_answer, split_poems
from rewards.score import COPY_CHARS
from runs.environment import prepare_environment

REPORT, ANSWERS = "poems.md", "poems.jsonl"


def main(argv: Sequence[str] | None = None) -> int:
    """Let each run write on the same held-out titles.

    Its poems stay in its folder, and the report in the last one's.
    """
    options = _options().parse_args(argv)
    folder = Path(options.runs[-1])
    prepare_environment(folder)
    # MindSpore reads its environment when it is imported.
    from evaluation.answers import answer_tasks
    from evaluation.poem_stages import Stage, describe_stages, measure_stage, title_keys
    from runs.device import select_device
    from runs.run import Run

    first = Run.open(options.runs[0])
    runs = [Run.open(path) for path in options.runs]
    tasks = ExampleFile.open(options.tasks, "val")
    if tasks.kind != "task":
        raise UserError(f"{options.tasks} holds examples of kind {tasks.kind}, not of tasks")
    keys = [tasks.key(index) for index in range(min(options.limit, tasks.n_examples))]
    form = keys[0]["form"]
    trained, held_out = split_poems(options.poems, first.recipe.data.val_fraction)
    select_device(first.recipe.train.device)
    stages = []
    for run in runs:
        print(f"{run.path} writes {len(keys):,} poems", flush=True)
        stages.append(measure_stage(run, first, keys))
        write_answers(stages[-1].answers, run.path / ANSWERS)
    poets = [as_answer(poem) for poem in held_out if poem.form.name == form]
    if poets:
        stages.append(Stage(f"the poets, {len(poets):,} held out", "", "", poets))
    copies = Copies(("".join(poem.lines) for poem in trained), COPY_CHARS)
    shown = answer_tasks(runs[-1], title_keys(form))
    title = f"{form} by {folder.name}, temperature {runs[-1].recipe.eval.temperature:g}"
    text = describe_stages(title, stages, copies, len(keys), shown).markdown()
    with atomic_open(folder / REPORT, "w") as file:
        file.write(text)
    print(f"\n{text}\nwrote {folder / REPORT}, and {ANSWERS} in the folder of each run")
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.poem_report", description=__doc__.splitlines()[0]
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directories, stage by stage")
    parser.add_argument("--tasks", required=True, help="data folder of titles, of kind task")
    parser.add_argument(
        "--poems",
        default="data/raw/tang_song_poems.jsonl",
        help="the poems trained on (%(default)s)",
    )
    parser.add_argument("--limit", type=int, default=500, help="titles at most (%(default)s)")
    return parser


if __name__ == "__main__":
    run_main(main)
