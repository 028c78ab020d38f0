"""Errors that a user can correct, each said in one sentence."""

import contextlib
import io
import multiprocessing
import os
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path

ERRORS_FILE = "BABY_LLAMA_ERRORS_FILE"
"""Environment variable by which a supervisor names a file; `UserError`s are added to it."""


class UserError(Exception):
    """Bad input or set-up. The message says what is wrong, where, and how to correct it."""


def run_main(main: Callable[[], int]) -> None:
    """Run an entry script and exit: a `UserError` becomes one sentence on stderr and status 1.

    So does a file or folder that the system refuses. Ctrl-C and SIGTERM end it with 128 + signal,
    as a shell reports it, and so does a reader of the output that goes away.
    """
    # An output that cannot show a character shows its code; input of another encoding comes
    # through, so that who reads it can say what is wrong with it.
    for stream, how in (
        (sys.stdin, "surrogateescape"),
        (sys.stdout, "backslashreplace"),
        (sys.stderr, "backslashreplace"),
    ):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=how)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        status = main()
        sys.stdout.flush()
    except UserError as error:
        status = _refuse(str(error))
    except BrokenPipeError:
        # Python flushes at its exit once more, to nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 128 + signal.SIGPIPE
    except OSError as error:
        if error.filename is None:
            raise
        status = _refuse(f"cannot use {os.fsdecode(error.filename)}: {error.strerror}")
    except KeyboardInterrupt:
        status = _interrupted()
    except Exception as error:
        # So fails a library of C++ that is just being imported.
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        status = _interrupted()
    sys.exit(status)


def _interrupted() -> int:
    return _say("interrupted", 128 + signal.SIGINT)


def _refuse(sentence: str) -> int:
    """Say what is wrong, to a supervisor as well."""
    if file := os.environ.get(ERRORS_FILE):
        with Path(file).open("a", encoding="utf-8", errors="backslashreplace") as lines:
            lines.write(f"{sentence}\n")
    return _say(f"error: {sentence}", 1)


def _say(sentence: str, status: int) -> int:
    print(sentence, file=sys.stderr, flush=True)
    return status


def _terminate(number: int, frame: types.FrameType | None) -> None:
    """End this process at once, with a word; one that was forked from it ends without.

    Nothing is raised: a library of C++ that is just being imported would abort.
    """
    if multiprocessing.parent_process() is None:
        with contextlib.suppress(RuntimeError, OSError):  # in the middle of a print
            sys.stdout.flush()
        os.write(2, b"ended by SIGTERM\n")
        os._exit(128 + number)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
