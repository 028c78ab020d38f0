"""Errors that a user can mend, told in one sentence."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

ERRORS_FILE = "BABY_LLAMA_ERRORS_FILE"
"""Environment variable by which a supervisor names a file; `UserError`s are added to it."""


class UserError(Exception):
    """Bad input or set-up. The message says what is wrong, where, and how to mend it."""


def run_main(main: Callable[[], int]) -> None:
    """Run an entry script and exit: a `UserError` becomes one sentence on stderr and status 1.

    Ctrl-C ends it with status 130, as a shell reports it.
    """
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        if file := os.environ.get(ERRORS_FILE):
            with Path(file).open("a", encoding="utf-8") as lines:
                lines.write(f"{error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        sys.exit(130)
