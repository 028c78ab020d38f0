"""The poems that training never saw, as answers to score: what the poets themselves reach.

python -m rewards.poem.held_out data/raw/tang_song_poems.jsonl answers.jsonl --form 七言绝句
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.errors import UserError, run_main
from corpus.input_file import InputFile
from corpus.poem_readers import Poem, heading, read_poems
from corpus.verse.forms import FORMS
from rewards.answer import Answer, write_answers

VAL_FRACTION = 0.02
"""data.val_fraction of configs/poet-base.yaml."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the held-out poems of one form, or of all, as a file of answers."""
    options = _options().parse_args(argv)
    _, held_out = split_poems(options.poems, options.val_fraction)
    found = [poem for poem in held_out if options.form in (None, poem.form.name)]
    write_answers([as_answer(poem) for poem in found[: options.limit]], options.answers)
    return 0


def split_poems(path: str, val_fraction: float = VAL_FRACTION) -> tuple[list[Poem], list[Poem]]:
    """The poems of a file that are trained on, and those held out.

    Raises:
        UserError: there is no such file, or no poem in it.
    """
    poems = list(read_poems(InputFile(Path(path))))
    if not poems:
        raise UserError(
            f"{path} holds no poem; data_process.py with a poet recipe fetches the file"
        )
    sides: tuple[list[Poem], list[Poem]] = ([], [])
    for poem in poems:
        sides[poem.is_held_out(val_fraction)].append(poem)
    return sides


def as_answer(poem: Poem) -> Answer:
    """A real poem as the answer to its own title."""
    key = {"task": "poem", "form": poem.form.name, "title": poem.title}
    return Answer(heading(poem.form.name, poem.title), poem.text, key)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rewards.poem.held_out", description=__doc__.splitlines()[0]
    )
    parser.add_argument("poems", help="the file of poems that data_process.py fetched")
    parser.add_argument("answers", help="the file to write")
    parser.add_argument("--form", choices=FORMS, help="one form only")
    parser.add_argument("--limit", type=int, help="at most this many poems")
    parser.add_argument("--val_fraction", type=float, default=VAL_FRACTION, help="share held out")
    return parser


if __name__ == "__main__":
    run_main(main)
