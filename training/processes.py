"""All processes that come of a launch command, as a supervisor sees them.

They are found under /proc, by a variable in their environment that names a file of this launch. An
entry that ends with an error that a user must correct writes its sentence there (`common.errors`).
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.errors import ERRORS_FILE

POLL_SECONDS = 0.5
# What msrun says, at most a second after one of its ranks ended with an error.
RANK_DIED = re.compile(r"Worker process (\d+) exit with exception\. Error code: (-?\d+)")


class Processes:
    """Starts a launch command; `wait` until it ends, `send` it a signal, `kill` what is left."""

    def __init__(self, command: Sequence[str], folder: Path, launcher: bool):
        """`folder` is an empty one of its own. The output of a launcher is read and passed on."""
        self.errors, self.launcher = folder / "errors", launcher
        self.ranks: dict[int, str] = {}
        """rank by process id, of all ranks that were seen"""
        self.dead: tuple[int, int] | None = None
        """process id and exit status of the first rank that died"""
        read = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "errors": "replace"}
        self.first = subprocess.Popen(
            command,
            env={**os.environ, ERRORS_FILE: str(self.errors)},
            # Ctrl-C in a terminal reaches the supervisor only, which passes it on once.
            start_new_session=True,
            **(read if launcher else {}),
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        if launcher:
            self.reader.start()

    def wait(self) -> int:
        """Exit status of the command, or of the first rank that died; negative for a signal."""
        while self.first.poll() is None and self.dead is None:
            if self.launcher:
                self._running_ranks()
            time.sleep(POLL_SECONDS)
        return self.dead[1] if self.dead else self.first.returncode

    def who_died(self) -> str:
        """The dead process, for a sentence."""
        if self.dead is None:
            return "the training process"
        return f"rank {self.ranks.get(self.dead[0], '?')} (process {self.dead[0]})"

    def told_errors(self) -> list[str]:
        """Sentences of errors that a restart does not correct."""
        return self.errors.read_text(encoding="utf-8").splitlines() if self.errors.exists() else []

    def send(self, number: int) -> None:
        """Pass a signal on: to the ranks, since launchers end without them, or to the command."""
        for pid in self._running_ranks() or [self.first.pid]:
            _signal(pid, number)

    def kill(self) -> None:
        """End every process that is left."""
        while left := [pid for pid, _ in self._running()]:
            for pid in left:
                _signal(pid, signal.SIGKILL)
            self.first.poll()
            time.sleep(POLL_SECONDS)
        self.first.wait()
        if self.launcher:
            self.reader.join(timeout=POLL_SECONDS)

    def _running(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Id and environment of each process."""
        mine = f"{ERRORS_FILE}={self.errors}"
        for path in Path("/proc").glob("[0-9]*"):
            try:
                pairs = (path / "environ").read_bytes().decode(errors="replace").split("\0")
            except OSError:  # it has ended, or is another user's
                continue
            if mine in pairs:
                yield int(path.name), dict(pair.partition("=")[::2] for pair in pairs)

    def _running_ranks(self) -> list[int]:
        """Ids of the ranks' processes."""
        found = {
            pid: variables.get("RANK_ID", "?")
            for pid, variables in self._running()
            if variables.get("MS_ROLE") == "MS_WORKER"
        }
        self.ranks |= found
        return list(found)

    def _read(self) -> None:
        for line in self.first.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            if self.dead is None and (match := RANK_DIED.search(line)):
                self.dead = int(match[1]), int(match[2])


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
