"""How far a stage is: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

SECONDS_PER_LINE = 10


class Progress:
    """Progress of a stage of `n_tasks` tasks over `total` bytes, on stderr."""

    def __init__(self, title: str, n_tasks: int, total: int):
        """Start a bar, or the clock of the log lines."""
        self.title = title
        self.n_tasks = n_tasks
        self.total = total
        self._tasks = self._bytes = 0
        self._begin = time.monotonic()
        self._next_line = self._begin + SECONDS_PER_LINE
        self._bar: tqdm | None = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, desc=title, unit="B", unit_scale=True, leave=False)

    def __enter__(self) -> "Progress":
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()

    def advance(self, n_bytes: int) -> None:
        """Note that one more task, over `n_bytes`, is finished."""
        self._tasks += 1
        self._bytes += n_bytes
        if self._bar is not None:
            self._bar.update(n_bytes)
        self.wait()

    def wait(self) -> None:
        """Show that time goes on, now and then."""
        if self._bar is not None:
            self._bar.refresh()
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + SECONDS_PER_LINE
            megabytes = f"{self._bytes / 1e6:,.0f} of {self.total / 1e6:,.0f} MB"
            seconds = f"{time.monotonic() - self._begin:.0f} s"
            line = (
                f"{self.title}: {self._tasks:,} of {self.n_tasks:,} tasks, {megabytes}, {seconds}"
            )
            print(line, file=sys.stderr, flush=True)
