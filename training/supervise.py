"""Start training again when it crashes: python -m training.supervise msrun ... pretrain.py ...

The recipe's `train.max_restarts` says how often. Where a launcher starts several ranks, this
command goes in front of it; a lone `python pretrain.py --train.max_restarts 3` supervises itself.
"""

import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import ERRORS_FILE, UserError, run_main
from common.logs import set_up_logging
from recipe import Recipe, parse_recipe
from training.processes import Processes

log = logging.getLogger(__name__)

ENTRIES = ("pretrain.py", "post_train.py")
PAUSE_SECONDS = 2.0
"""Before a restart, so that ports and devices are free again."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)
# A process that was asked to stop ends with 128 + signal, or by the signal while it still starts.
STOPPED = {status for number in SIGNALS for status in (128 + number, -number)}


def main() -> int:
    """Supervise the launch command that follows `python -m training.supervise`."""
    command = sys.argv[1:]
    places = [i for i, part in enumerate(command) if Path(part).name in ENTRIES]
    if not places:
        raise UserError(
            "what is supervised must be a launch command of pretrain.py, such as: python -m "
            "training.supervise msrun --worker_num=2 --local_worker_num=2 --join=True pretrain.py"
        )
    return supervise(command, parse_recipe(command[places[0] + 1 :]), launcher=True)


def supervises_itself(recipe: Recipe) -> bool:
    """Whether this process is to supervise the training instead of training itself.

    Raises:
        UserError: restarts are wanted, but this is a rank of a launcher that nothing supervises.
    """
    if not recipe.train.max_restarts or ERRORS_FILE in os.environ:
        return False
    if "MS_ROLE" in os.environ:
        raise UserError(
            f"train.max_restarts is {recipe.train.max_restarts}, but msrun ends all ranks when one "
            "dies; put python -m training.supervise in front of the msrun command"
        )
    return True


@dataclass(frozen=True)
class Outcome:
    """How a launch ended."""

    status: int
    """exit status, negative for a signal"""
    stopped: bool
    """a signal to the supervisor was passed on"""
    errors: list[str]
    """sentences of errors that a restart does not correct"""
    who: str
    """the process that died"""

    @property
    def crashed(self) -> bool:
        """Whether a restart can help."""
        wanted = self.stopped or self.status == 0 or self.status in STOPPED
        return not wanted and not self.errors

    @property
    def exit_status(self) -> int:
        """What a shell would call it: 128 + signal."""
        return self.status if self.status >= 0 else 128 - self.status

    def sentence(self) -> str:
        """Who died of what."""
        if self.status < 0:
            return f"{self.who} was killed by {signal.Signals(-self.status).name}"
        return f"{self.who} failed with exit status {self.status}"


def supervise(command: Sequence[str], recipe: Recipe, launcher: bool = False) -> int:
    """Run the command, and again after a crash; returns its exit status.

    It is started again up to `train.max_restarts` times in a row without a new checkpoint. A stop
    that was asked for, and an error that the user must correct, end it.
    """
    set_up_logging()
    allowed, latest = recipe.train.max_restarts, recipe.run_dir / "latest"
    restarts, checkpoint = 0, _content(latest)
    while (outcome := run(command, launcher)).crashed:
        if _content(latest) != checkpoint:
            restarts, checkpoint = 0, _content(latest)
        if restarts == allowed:
            log.error(f"{outcome.sentence()}; no restart is left of train.max_restarts {allowed}")
            return outcome.exit_status
        restarts += 1
        log.warning(
            f"{outcome.sentence()}; restart {restarts} of at most {allowed} without a new "
            f"checkpoint, from {checkpoint or 'the beginning'}"
        )
        time.sleep(PAUSE_SECONDS)
    if outcome.errors and launcher:  # it may stand in a rank's log only
        print(f"error: {outcome.errors[0]}", file=sys.stderr, flush=True)
    return 1 if outcome.errors else outcome.exit_status


def run(command: Sequence[str], launcher: bool) -> Outcome:
    """Run the command once; SIGTERM and Ctrl-C are passed on, and no process of it stays."""
    stopped = False
    with tempfile.TemporaryDirectory(prefix="supervise-") as folder:
        processes = Processes(command, Path(folder), launcher)

        def pass_on(number: int, frame) -> None:
            nonlocal stopped
            stopped = True
            processes.send(number)

        previous = {number: signal.signal(number, pass_on) for number in SIGNALS}
        try:
            status = processes.wait()
        finally:
            processes.kill()
            for number, handler in previous.items():
                signal.signal(number, handler)
        return Outcome(status, stopped, processes.told_errors(), processes.who_died())


def _content(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


if __name__ == "__main__":
    run_main(main)
