"""SIGTERM and Ctrl-C end a run after its current step instead of in the middle of one."""

import signal
from types import TracebackType

import numpy as np
from mindspore import Tensor

from training.parallel import World, all_reduce_sum

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignal:
    """Within a `with` block, remembers the first such signal in `name`; a second one kills.

    While a graph runs, MindSpore turns SIGINT into SIGTERM, so Ctrl-C may go by either name.
    """

    def __init__(self, world: World | None = None, interval: int = 1):
        """Several ranks ask each other every `interval` steps whether one of them was signalled."""
        self.name: str | None = None
        self.number = 0
        self.world, self.interval, self.reduce = world or World(), interval, all_reduce_sum()

    def agreed(self, step: int) -> bool:
        """Whether the run ends after `step`; all ranks get the same answer."""
        if self.world.size == 1:
            return self.name is not None
        if step % self.interval:
            return False
        signalled = Tensor(np.array([self.name is not None], np.float32))
        return bool(self.reduce(signalled).asnumpy()[0])

    def __enter__(self) -> "StopSignal":
        """Install the handlers."""
        self._previous = {number: signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the earlier handlers back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame) -> None:
        self.name, self.number = signal.Signals(number).name, number
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
