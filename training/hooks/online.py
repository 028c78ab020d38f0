"""Loggers that show a run on the pages of a service."""

import abc
import dataclasses
import uuid
from collections.abc import Sequence
from typing import Any

from common.errors import UserError
from common.files import read_json, write_json
from runs.run import Run
from training.hooks.base import Record, RecordHook, is_held_out, scalars

PROJECT = "baby-llama2"
ID_LENGTH = 21
"""SwanLab wants ids of exactly so many letters and digits."""


class OnlineLogger(RecordHook, abc.ABC):
    """Sends records to a service that knows the run by an id.

    The id and the place of the last record sent stand in `<name>.json` in the run directory. After
    a crash the service has records of steps that are done again; they come out as before, so what
    lies before that place is not sent twice (what was on its way when the process was killed may
    be missing there). A run that begins anew gets another id.
    """

    name: str
    """of the service"""

    def __init__(self, run: Run, past: Sequence[Record]):
        self.path = run.path / f"{self.name}.json"
        known = read_json(self.path) if past and self.path.is_file() else {}
        self.id = known.get("id") or uuid.uuid4().hex[:ID_LENGTH]
        self.sent = tuple(known.get("sent", (0, False)))
        try:
            self.session = self.start(run, dataclasses.asdict(run.recipe))
        except Exception as error:
            raise UserError(
                f"train.loggers: {self.name} did not start ({error}); log in with {self.name} "
                f"login, or set {self.name.upper()}_MODE=offline to keep the records here"
            ) from error
        for record in past:
            self.write(record)

    @abc.abstractmethod
    def start(self, run: Run, config: dict[str, Any]):
        """Begin or go on with the run `self.id`; returns what has `log` and `finish`."""

    def write(self, record):
        """Send a record that was not sent before."""
        place = record["step"], is_held_out(record)
        if place > self.sent:
            self.session.log(scalars(record), step=record["step"])
            self.sent = place
            write_json(self.path, {"id": self.id, "sent": place})

    def close(self):
        """Wait until all is sent."""
        self.session.finish()
