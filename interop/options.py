"""The command line of export.py."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from common.errors import UserError
from common.files import user_path
from interop.formats import FORMAT_MODULES
from interop.layout import Layout

LAYOUT = ("devices", "model_parallel", "pipeline_stages")


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
    checkpoint: str = "newest"
    """whose weights: the newest, or the best"""
    layout: Layout | None = None
    """devices that shall train on; None: not asked for"""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print with its usage."""
        raise UserError(f"{message}; --help shows the options")


def parse_options(argv: Sequence[str] | None = None, description: str = "") -> Options:
    """Read a command line; --help prints and exits.

    Raises:
        UserError: an option is missing or unknown, or does not fit the others.
    """
    parser = _Parser(description=description, allow_abbrev=False)
    parser.add_argument("--run", type=user_path, required=True, metavar="DIR", help="run directory")
    parser.add_argument("--format", required=True, choices=FORMAT_MODULES, help="format to write")
    parser.add_argument(
        "--output", type=user_path, required=True, metavar="DIR", help="new folder to write"
    )
    parser.add_argument(
        "--dtype",
        metavar="TYPE",
        help="type of the weights; hf: float32 (the default), float16 or bfloat16; "
        "gguf: float32, float16 or q8_0; run: float32 or float16; the other formats have one",
    )
    parser.add_argument(
        "--checkpoint",
        choices=("newest", "best"),
        default="newest",
        help="the newest (the default), or the one of the lowest held-out loss",
    )
    devices = parser.add_argument_group("mindformers: a recipe and the data for several devices")
    devices.add_argument("--devices", type=int, metavar="N", help="devices of all machines")
    for name, what in (("model_parallel", "share a matrix"), ("pipeline_stages", "share blocks")):
        described = f"devices that {what} (default: 1)"
        devices.add_argument(f"--{name}", type=int, metavar="N", help=described)
    values = vars(parser.parse_args(argv))
    sizes = {name: values.pop(name) for name in LAYOUT}
    return Options(**values, layout=parse_layout(values["format"], sizes))


def parse_layout(form: str, sizes: dict[str, int | None]) -> Layout | None:
    """The layout that the options ask for.

    Raises:
        UserError: they do not fit each other or the format.
    """
    given = {name: size for name, size in sizes.items() if size is not None}
    if not given:
        return None
    if form != "mindformers":
        raise UserError(f"--{next(iter(given))} is for --format mindformers, not for {form}")
    if "devices" not in given:
        raise UserError(f"--{next(iter(given))} needs --devices, the number of all devices")
    return Layout(**given)
