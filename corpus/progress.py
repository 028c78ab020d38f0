"""How far the reading of the corpus is: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Optional

from tqdm import tqdm

SECONDS_PER_LINE = 10


class Progress:
    """Progress over `total` bytes, on stderr."""

    def __init__(self, total: int, title: str):
        """Start a bar, or the clock of the log lines."""
        self.total = total
        self.title = title
        self._done = 0
        self._next_line = time.monotonic() + SECONDS_PER_LINE
        self._bar: Optional[tqdm] = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, desc=title, unit="B", unit_scale=True, leave=False)

    def __enter__(self) -> "Progress":
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()

    def advance(self, n_bytes: int) -> None:
        """Note that `n_bytes` more were read."""
        self._done += n_bytes
        if self._bar is not None:
            self._bar.update(n_bytes)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + SECONDS_PER_LINE
            line = f"{self.title}: {self._done / 1e6:.0f} of {self.total / 1e6:.0f} MB read"
            print(line, file=sys.stderr, flush=True)
