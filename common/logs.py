"""Log lines for people: to standard output, flushed one by one, and to a file."""

import logging
import sys
from pathlib import Path

from tqdm import tqdm


class _LineHandler(logging.Handler):
    """Prints each record at once, above a progress bar if one is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        tqdm.write(self.format(record), file=sys.stdout)
        sys.stdout.flush()


def set_up_logging(file: Path | None = None, quiet: bool = False) -> None:
    """Send `logging` to standard output, unless quiet, and append it to `file`."""
    handlers: list[logging.Handler] = [logging.NullHandler() if quiet else _LineHandler()]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(file, encoding="utf-8"))
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers, force=True)
