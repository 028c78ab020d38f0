"""The command line of eval_pretrain.py."""

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import docstring_parser

from common.errors import UserError
from evaluation.config import EvalConfig

EPILOG = """\
Without --prompt, --prompts_file and --interactive, the run is evaluated in full: loss, perplexity
and bits per byte on the whole held-out file, continuations of the recipe's prompts, a loss curve
and a report in the run directory. With one of them, only those prompts are continued.

Everything else comes from the run's recipe; any field of it can be overridden, such as
--data.dir DIR, and for the continuations:
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """What a command line asks for."""

    run: Path | None
    """run directory; None: the newest"""
    prompts: list[str] | None
    """prompts to continue; None: the recipe's"""
    interactive: bool
    """read prompts from the terminal"""
    overrides: list[str]
    """options for the run's recipe"""

    @property
    def only_play(self) -> bool:
        """Whether to continue prompts and measure nothing."""
        return self.interactive or self.prompts is not None


def parse_options(argv: Sequence[str] | None = None, description: str = "") -> Options:
    """Read a command line; --help prints and exits.

    Raises:
        UserError: an option lacks its value, or the file of prompts cannot be used.
    """
    parser = argparse.ArgumentParser(
        usage="%(prog)s [--run DIR] [--prompt TEXT ...] [--prompts_file FILE] [--interactive] "
        "[--SECTION.FIELD VALUE ...]",
        description=description,
        epilog=EPILOG + "\n".join(_field_lines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser.add_argument("--run", type=Path, metavar="DIR", help="run directory (the newest)")
    parser.add_argument(
        "--prompt", nargs="+", action="extend", metavar="TEXT", help="texts to continue"
    )
    parser.add_argument(
        "--prompts_file", type=Path, metavar="FILE", help="texts to continue, one a line"
    )
    parser.add_argument(
        "--interactive", action="store_true", help="ask for texts until an empty line"
    )
    try:
        known, overrides = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise UserError(str(error)) from error
    prompts = known.prompt
    if known.prompts_file:
        prompts = [*(prompts or []), *read_prompts(known.prompts_file)]
    return Options(known.run, prompts, known.interactive, overrides)


def read_prompts(path: Path) -> list[str]:
    """The lines of a file that are not blank.

    Raises:
        UserError: the file cannot be read, is not UTF-8, or has no such line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"cannot read prompts from {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; convert it") from error
    prompts = [line for line in lines if line.strip()]
    if not prompts:
        raise UserError(f"{path} holds no prompt; write one a line")
    return prompts


def _field_lines() -> Iterator[str]:
    for param in docstring_parser.parse_from_object(EvalConfig).params:
        yield f"  --eval.{param.arg_name:<20}{param.description}"
