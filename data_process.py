"""Turn raw text into token files: python data_process.py [--config recipe.yaml] [--help]."""

from pathlib import Path

from common.errors import run_main
from corpus.pipeline import build
from corpus.report import format_report
from corpus.token_file import TRAIN_NAME, VAL_NAME
from corpus.workspace import Unfinished
from recipe import parse_recipe


def main() -> int:
    """Make the token files of a recipe and say what is in them."""
    recipe = parse_recipe(description=__doc__)
    try:
        report = build(recipe.tokenizer, recipe.data)
    except Unfinished as rest:
        print(rest)
        return 0
    print(format_report(report))
    folder = Path(recipe.data.dir)
    state = "up to date, nothing to do" if report.up_to_date else "written"
    print(
        f"{folder / TRAIN_NAME}: {report.train.tokens:,} tokens, "
        f"{folder / VAL_NAME}: {report.val.tokens:,} tokens; {state}"
    )
    return 0


if __name__ == "__main__":
    run_main(main)
