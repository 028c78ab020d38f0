"""The thread that computes: requests go in, events come out on the event loop of the front."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from generation.batching import Batch
from generation.request import End, Event, Request

log = logging.getLogger(__name__)

ERROR = "error"
ENDED_SECONDS = 10.0


class QueueFull(Exception):
    """So many texts wait that no more are taken."""


class Texts:
    """The events of the texts of one call, as they come; the reader may be as slow as it likes.

    All but what the thread that computes does with `requests` belongs to the event loop.
    """

    def __init__(self, model: str, requests: Sequence[Request]):
        self.model, self.requests = model, requests
        self.events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()
        self.going = len(requests)

    async def __aiter__(self) -> AsyncIterator[tuple[int, Event]]:
        """Yield the number of a text and an event of it, until each had its `End`."""
        left = len(self.requests)
        while left:
            index, event = await self.events.get()
            left -= isinstance(event, End)
            yield index, event


class Engine:
    """Steps the batches of all models in one thread, which alone touches MindSpore.

    MindSpore's settings belong to a thread, so `load` is called in it, and sets them.
    """

    def __init__(self, load: Callable[[], Mapping[str, Batch]], capacity: int):
        """Start the thread and wait until the models are loaded.

        Args:
            load: makes the batch of each model.
            capacity: texts of a model that are written or wait, at most.

        Raises:
            Exception: what `load` raised.
        """
        self.capacity, self.load = capacity, load
        self.batches: Mapping[str, Batch] = {}
        self.changed = threading.Condition()
        self.calls: deque[Callable[[], None]] = deque()
        self.places: dict[Request, tuple[Texts, int]] = {}
        self.open: dict[str, int] = {}
        self.failure: BaseException | None = None
        self.stopped = False
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), name="model", daemon=True)
        self.thread.start()
        ready.wait()
        if self.failure is not None:
            raise self.failure

    def submit(self, model: str, requests: Sequence[Request]) -> Texts:
        """Take requests on, all or none; called on the event loop.

        Raises:
            QueueFull: too many wait.
        """
        if self.open[model] + len(requests) > self.capacity:
            raise QueueFull
        texts = Texts(model, requests)
        self.open[model] += len(requests)
        self._call(lambda: self._add(texts))
        return texts

    def cancel(self, texts: Texts) -> None:
        """Forget what has not ended; called on the event loop."""
        if texts.going:
            self.open[texts.model] -= texts.going
            texts.going = 0
            self._call(lambda: self._forget(texts))

    @property
    def alive(self) -> bool:
        """Whether the thread does its work."""
        return self.thread.is_alive() and not self.stopped

    def stop(self) -> None:
        """End the thread after the step that it is in."""
        with self.changed:
            self.stopped = True
            self.changed.notify()
        self.thread.join(ENDED_SECONDS)

    def _call(self, call: Callable[[], None]) -> None:
        with self.changed:
            self.calls.append(call)
            self.changed.notify()

    def _run(self, ready: threading.Event) -> None:
        try:
            self.batches = self.load()
            self.open = dict.fromkeys(self.batches, 0)
        except BaseException as error:
            self.failure = error
            return
        finally:
            ready.set()
        while self._wait():
            for model, batch in self.batches.items():
                if batch.busy:
                    self._deliver(self._step(model, batch))

    def _wait(self) -> bool:
        """Do what was called for, and sleep while there is nothing to do; False: the end."""
        with self.changed:
            while not (self.calls or self.stopped or any(b.busy for b in self.batches.values())):
                self.changed.wait()
            calls, self.calls = self.calls, deque()
        for call in calls:
            call()
        return not self.stopped

    def _step(self, model: str, batch: Batch) -> Sequence[tuple[Request, Event]]:
        try:
            return batch.step()
        except Exception:
            # A server outlives what it did not foresee: those texts end, with a line in the log.
            log.exception("a step of %s failed; its texts are ended", model)
            return [(request, End(ERROR, 0)) for request in batch.clear()]

    def _add(self, texts: Texts) -> None:
        for index, request in enumerate(texts.requests):
            self.places[request] = (texts, index)
            self.batches[texts.model].add(request)

    def _forget(self, texts: Texts) -> None:
        for request in texts.requests:
            if self.places.pop(request, None):
                self.batches[texts.model].cancel(request)

    def _deliver(self, events: Sequence[tuple[Request, Event]]) -> None:
        """Hand the events of a step to the event loop, all at once."""
        found = []
        for request, event in events:
            found.append((*self.places[request], event))
            if isinstance(event, End):
                del self.places[request]
        if found:
            found[0][0].loop.call_soon_threadsafe(self._put, found)

    def _put(self, found: Sequence[tuple[Texts, int, Event]]) -> None:
        for texts, index, event in found:
            texts.events.put_nowait((index, event))
            if isinstance(event, End) and texts.going:
                texts.going -= 1
                self.open[texts.model] -= 1
