"""The command line of serve.py."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NoReturn

import docstring_parser

from common.errors import UserError
from common.files import user_path
from serving.config import ServeConfig

LOOPBACK = "127.0.0.1"
KEY_VARIABLE = "BABY_LLAMA_API_KEY"
EPILOG = """\
Any field of the runs' recipes can be overridden, such as --eval.weights int8 or
--eval.checkpoint best.
"""


@dataclass(frozen=True)
class Options:
    """What a command line asks for."""

    runs: list[Path] | None
    """run directories; None: the newest"""
    host: str
    """address to listen on"""
    port: int
    """0: a free one"""
    api_key: str | None
    """what clients must send; None: nothing"""
    web: bool
    """serve the page"""
    documents: Path | None
    """folder of documents to look things up in"""
    config: ServeConfig
    overrides: list[str]
    """options for the runs' recipes"""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print with its usage."""
        raise UserError(f"{message}; --help shows the options")


def parse_options(argv: Sequence[str] | None = None, description: str = "") -> Options:
    """Read a command line; --help prints and exits.

    Raises:
        UserError: an option is wrong, or other computers would be served without a key.
    """
    parser = _Parser(
        usage="%(prog)s [--run DIR ...] [--host ADDRESS --api_key KEY] [--port N] [--web] "
        "[--documents DIR] [--LIMIT N ...] [--SECTION.FIELD VALUE ...]",
        description=description,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--run", nargs="+", action="extend", type=user_path, metavar="DIR",
        help="run directories; a run is served under its name (default: the newest)",
    )  # fmt: skip
    parser.add_argument(
        "--host", metavar="ADDRESS",
        help=f"address to listen on, such as 0.0.0.0; needs a key ({LOOPBACK}: this computer only)",
    )  # fmt: skip
    parser.add_argument(
        "--port", type=int, default=8000, metavar="N", help="0: a free port (default: 8000)"
    )
    parser.add_argument(
        "--api_key", metavar="KEY",
        help=f"what clients must send; better set {KEY_VARIABLE}, which other users cannot see",
    )  # fmt: skip
    parser.add_argument("--web", action="store_true", help="serve a page to play with at /")
    parser.add_argument(
        "--documents", type=user_path, metavar="DIR",
        help="folder of .txt and .md files; passages that fit a question are shown to the model",
    )  # fmt: skip
    _add_limits(parser)
    known, overrides = parser.parse_known_args(argv)
    values = vars(known)
    limits = {field.name: values.pop(field.name) for field in fields(ServeConfig)}
    try:
        config = ServeConfig(**limits)
    except ValueError as error:
        raise UserError(str(error)) from error
    api_key = known.api_key or os.environ.get(KEY_VARIABLE) or None
    if known.host is not None and api_key is None:
        raise UserError(
            f"--host {known.host} serves other computers; set {KEY_VARIABLE} or --api_key, which "
            "their programs must then send"
        )
    if not 0 <= known.port < 1 << 16:
        raise UserError(f"--port is {known.port}; it must lie in 0..65535")
    return Options(
        runs=known.run,
        host=known.host or LOOPBACK,
        port=known.port,
        api_key=api_key,
        web=known.web,
        documents=known.documents,
        config=config,
        overrides=overrides,
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group("limits")
    docs = docstring_parser.parse_from_object(ServeConfig).params
    meaning = {param.arg_name: param.description for param in docs}
    for name, value in asdict(ServeConfig()).items():
        limits.add_argument(
            f"--{name}", type=int, default=value, metavar="N", help=f"{meaning[name]} ({value})"
        )
