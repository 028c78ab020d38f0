"""Turn raw text into token files: python data_process.py [--config recipe.yaml] [--help].

A recipe whose data.kind is sft, pairs or task gets example files instead.
"""

from pathlib import Path

from common.errors import run_main
from corpus.base_model import base_tokenizer
from corpus.example_file import IDS, ExampleFile, example_path
from corpus.example_pipeline import build_examples
from corpus.packed_rows import PackedRows
from corpus.pipeline import build
from corpus.report import Report, format_report
from corpus.token_file import TRAIN_NAME, VAL_NAME
from corpus.workspace import WORK_NAME, Unfinished
from evaluation.text_scores import open_scorer
from recipe import Recipe, parse_recipe


def main() -> int:
    """Make the token or example files of a recipe and say what is in them."""
    recipe = parse_recipe(description=__doc__)
    folder = Path(recipe.data.dir)
    try:
        if recipe.data.kind == "text":
            scorer = open_scorer(recipe.data.filter) if recipe.data.filter else None
            report = build(recipe.tokenizer, recipe.data, scorer)
            names = (folder / TRAIN_NAME, folder / VAL_NAME)
        else:
            report = make_examples(recipe)
            names = (example_path(folder, split, IDS) for split in ("train", "val"))
    except Unfinished as rest:
        print(rest)
        return 0
    print(format_report(report))
    state = "up to date, nothing to do" if report.up_to_date else "written"
    train, val = names
    if recipe.data.kind == "sft":
        file = ExampleFile.open(folder, "train")
        rows = PackedRows(file, recipe.model.max_seq_len, pad_id=0, seed=recipe.train.seed)
        print(rows.describe())
    if not report.up_to_date:
        print(
            f"{folder / WORK_NAME} keeps the cleaned text for another vocabulary, weight, split or "
            "seed; delete it if you need the room"
        )
    print(f"{train}: {report.train.tokens:,} tokens, {val}: {report.val.tokens:,} tokens; {state}")
    return 0


def make_examples(recipe: Recipe) -> Report:
    """Make the example files of a recipe, with tokenizer and chat template of its base model."""
    _, template = base_tokenizer(recipe.train.init_from, recipe.tokenizer, recipe.data)
    return build_examples(template, recipe.data, recipe.tokenizer)


if __name__ == "__main__":
    run_main(main)
