"""Log lines for people: to standard output, flushed one by one, and to a file."""

import contextlib
import logging
import sys
from pathlib import Path

from tqdm import tqdm


class _DiskMayFill(logging.Handler):
    """A handler that outlives a full disk, and says so once."""

    reported = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, logging's name
        """Go on after an error of the disk; a reader that has gone ends the program."""
        error = sys.exc_info()[1]
        if isinstance(error, BrokenPipeError):
            raise
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self.reported:
            self.reported = True
            with contextlib.suppress(OSError):
                print(f"log: {error.strerror}; lines may be missing", file=sys.stderr)


class _LineHandler(_DiskMayFill):
    """Prints each record at once, above a progress bar if one is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        try:
            tqdm.write(self.format(record), file=sys.stdout)
            sys.stdout.flush()
        except Exception:
            self.handleError(record)


class _FileHandler(_DiskMayFill, logging.FileHandler):
    """Appends each record to a file."""


def set_up_logging(file: Path | None = None, quiet: bool = False) -> None:
    """Send `logging` to standard output, unless quiet, and append it to `file`."""
    handlers: list[logging.Handler] = [logging.NullHandler() if quiet else _LineHandler()]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(_FileHandler(file, encoding="utf-8"))
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers, force=True)
