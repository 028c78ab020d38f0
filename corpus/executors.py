"""Where the tasks of a stage run: in this process, in a pool of processes, or on Ray.

A task is a pure function of its arguments and of the files that they name. So it does not matter
where it runs, in which order, or how often.
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.files import write_json

# With less to read than this, a stage is over before a pool of processes has started.
POOL_BYTES = 8 << 20
POLL_SECONDS = 1.0
RAY_TASKS_PER_WORKER = 2


@dataclass(frozen=True)
class Task:
    """`function(*arguments)` writes files; what it returns, a JSON object, is written to `done`.

    `done` comes last: where it stands, the task is finished.
    """

    name: str
    function: Callable[..., dict[str, Any]]
    arguments: tuple
    done: Path
    n_bytes: int
    """size of its input, for the progress line"""


Perform = Callable[[Sequence[Task]], Iterator[Task | None]]
"""Performs tasks; yields each as it is finished, and None now and then while nothing is."""


def perform(task: Task) -> None:
    """Do one task, wherever it is called."""
    write_json(task.done, task.function(*task.arguments))


@contextlib.contextmanager
def open_executor(name: str, workers: int) -> Iterator[Perform]:
    """A way to perform tasks, for the length of a `with` block.

    Raises:
        UserError: Ray is asked for and not installed, or no cluster answers.
    """
    if name == "ray":
        with _ray(workers) as perform_tasks:
            yield perform_tasks
    elif workers > 1:
        with _process_pool(workers) as perform_tasks:
            yield perform_tasks
    else:
        yield in_process


def in_process(tasks: Sequence[Task]) -> Iterator[Task]:
    """Perform tasks here, one after the other."""
    for task in tasks:
        perform(task)
        yield task


@contextlib.contextmanager
def _process_pool(workers: int) -> Iterator[Perform]:
    context = multiprocessing.get_context("spawn")
    lifeline, end = context.Pipe(duplex=False)
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, _begin_worker, (lifeline,))

    def perform_tasks(tasks: Sequence[Task]) -> Iterator[Task | None]:
        if len(tasks) < 2 or sum(task.n_bytes for task in tasks) < POOL_BYTES:
            yield from in_process(tasks)
            return
        pending = {pool.submit(perform, task): task for task in tasks}
        try:
            while pending:
                finished, _ = concurrent.futures.wait(pending, POLL_SECONDS, "FIRST_COMPLETED")
                if not finished:
                    yield None
                for future in finished:
                    future.result()
                    yield pending.pop(future)
        except BrokenProcessPool as error:
            names = ", ".join(task.name for task in list(pending.values())[:workers])
            raise UserError(
                f"a worker process was killed, perhaps because memory ran out, at one of: {names}; "
                "what is finished is kept, so run the same command again with fewer data.workers"
            ) from error

    try:
        yield perform_tasks
    finally:
        # However the block ends, also by Ctrl-C: the workers stop at once.
        end.close()
        pool.shutdown(cancel_futures=True)


def _begin_worker(lifeline: Connection) -> None:
    """Make a worker end with its parent, even one killed with SIGKILL, and leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait_for_the_end() -> None:
        with contextlib.suppress(OSError):
            lifeline.poll(None)
        os._exit(1)

    threading.Thread(target=wait_for_the_end, daemon=True).start()


@contextlib.contextmanager
def _ray(workers: int) -> Iterator[Perform]:
    """Ray tasks: on the cluster of RAY_ADDRESS, else on a Ray of this machine only."""
    try:
        if "RAY_ADDRESS" not in os.environ:
            os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        import ray
    except ImportError as error:
        raise UserError(
            "data.executor ray needs the package ray; install it with: "
            "python -m pip install -r requirements-extra.txt"
        ) from error
    _start_ray(ray, workers)
    folder = os.getcwd()

    # A worker that dies is replaced and its task done again, three times.
    @ray.remote(num_cpus=1, max_retries=3)
    def perform_there(task: Task) -> None:
        os.chdir(folder)
        perform(task)

    def perform_tasks(tasks: Sequence[Task]) -> Iterator[Task | None]:
        waiting, running = list(reversed(tasks)), {}
        limit = max(1, int(ray.cluster_resources().get("CPU", 1))) * RAY_TASKS_PER_WORKER
        while waiting or running:
            while waiting and len(running) < limit:
                task = waiting.pop()
                running[perform_there.remote(task)] = task
            finished, _ = ray.wait(list(running), num_returns=1, timeout=POLL_SECONDS)
            if not finished:
                yield None
            for reference in finished:
                try:
                    ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise (error.cause or error) from error
                except ray.exceptions.RayError as error:
                    name = running[reference].name
                    raise UserError(
                        f"Ray lost the work on {name} ({type(error).__name__}); what is finished "
                        "is kept, so repair the cluster and run the same command again"
                    ) from error
                yield running.pop(reference)

    try:
        yield perform_tasks
    finally:
        ray.shutdown()


def _start_ray(ray: Any, workers: int) -> None:
    """Connect to the cluster of RAY_ADDRESS, or start a Ray of `workers` processes."""
    options: dict[str, Any] = {"address": "auto"}
    if "RAY_ADDRESS" not in os.environ:
        options = {"address": "local", "num_cpus": workers, "include_dashboard": False}
    # The program must stand at the same path on every machine.
    path = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    try:
        ray.init(runtime_env={"env_vars": path}, logging_level="warning", **options)
    except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
        raise UserError(
            f"Ray does not answer at {os.environ.get('RAY_ADDRESS', 'this machine')} "
            f"({type(error).__name__}); start the cluster with ray start, or use "
            "--data.executor process"
        ) from error
