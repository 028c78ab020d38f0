"""metrics.jsonl, and who reads along."""

import json
import logging
import math
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from common.files import append_whole
from training.hooks.base import RecordHook

log = logging.getLogger(__name__)


class Records:
    """Appends records to a file and hands each to the hooks; a `with` block closes the hooks.

    Nothing here ends a run: a full disk is logged, and what it did not take is written later; a
    hook that fails is logged and let go.
    """

    def __init__(self, path: Path, hooks: Iterable[RecordHook] = ()):
        self.path, self.hooks = path, list(hooks)
        self.unwritten = ""

    def add(self, **values: float) -> None:
        """Append one line; what is not finite becomes null, as JSON wants."""
        record = {k: v if math.isfinite(v) else None for k, v in values.items()}
        waiting = self.unwritten != ""
        self.unwritten += json.dumps(record) + "\n"
        try:
            append_whole(self.path, self.unwritten)
            self.unwritten = ""
        except OSError as error:
            step = values["step"]
            if not waiting:
                log.error(f"{self.path}: {error.strerror}; step {step:,} waits until there is room")
        for hook in list(self.hooks):
            try:
                hook.write(record)
            except Exception as error:
                log.warning(f"{type(hook).__name__} failed, training goes on without it: {error}")
                self.hooks.remove(hook)

    def __enter__(self) -> "Records":
        """Nothing is to be done before the first record."""
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the hooks."""
        for hook in self.hooks:
            try:
                hook.close()
            except Exception as failure:
                log.warning(f"{type(hook).__name__} failed at the end: {failure}")
