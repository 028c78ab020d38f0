"""The command line of export.py."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from common.errors import UserError
from interop.registry import FORMAT_MODULES


@dataclass(frozen=True)
class Options:
    """What a command line asks for."""

    run: Path
    """run directory"""
    format: str
    """name of the format"""
    output: Path
    """folder to write"""
    dtype: str | None
    """type of the weights; None: the format's first"""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print with its usage."""
        raise UserError(f"{message}; --help shows the options")


def parse_options(argv: Sequence[str] | None = None, description: str = "") -> Options:
    """Read a command line; --help prints and exits.

    Raises:
        UserError: an option is missing or unknown.
    """
    parser = _Parser(description=description, allow_abbrev=False)
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="run directory")
    parser.add_argument("--format", required=True, choices=FORMAT_MODULES, help="what to write")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="new folder to write"
    )
    parser.add_argument(
        "--dtype",
        metavar="TYPE",
        help="type of the weights; hf: float32 (without asking), float16 or bfloat16; "
        "gguf: float32, float16 or q8_0; the other formats have one",
    )
    return Options(**vars(parser.parse_args(argv)))
