import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.errors import UserError
from common.files import read_json
from corpus.executors import Task, open_executor


def square(number):
    return {"square": number * number, "process": os.getpid()}


def fail(message):
    raise UserError(message)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def tasks_of(folder, function, *arguments, n_bytes=1 << 30):
    folder.mkdir(exist_ok=True)
    return [
        Task(f"task {i}", function, (a,) if a is not None else (), folder / f"{i}.json", n_bytes)
        for i, a in enumerate(arguments)
    ]


def finished(perform, tasks):
    return [task for task in perform(tasks) if task]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_done_and_noted(tmp_path, workers):
    tasks = tasks_of(tmp_path / "done", square, *range(10))
    with open_executor("process", workers) as perform:
        assert sorted(task.name for task in finished(perform, tasks)) == [
            f"task {i}" for i in range(10)
        ]
    results = [read_json(task.done) for task in tasks]
    assert [result["square"] for result in results] == [i * i for i in range(10)]
    assert (os.getpid() in {result["process"] for result in results}) == (workers == 1)


def test_little_work_is_done_without_a_pool(tmp_path):
    tasks = tasks_of(tmp_path / "done", square, *range(3), n_bytes=10)
    with open_executor("process", 2) as perform:
        finished(perform, tasks)
    assert {read_json(task.done)["process"] for task in tasks} == {os.getpid()}


@pytest.mark.parametrize("workers", [1, 2])
def test_error_of_a_task_comes_through_as_it_is(tmp_path, workers):
    tasks = tasks_of(tmp_path / "done", fail, "what, where, what to do", "the same")
    with pytest.raises(UserError, match="^(what, where, what to do|the same)$"):
        with open_executor("process", workers) as perform:
            finished(perform, tasks)
    assert not list((tmp_path / "done").iterdir())


def test_killed_worker_is_told_and_finished_tasks_are_kept(tmp_path):
    tasks = tasks_of(tmp_path / "done", square, 1, 2)
    bad = tasks_of(tmp_path / "bad", die, None, None)
    with pytest.raises(
        UserError, match=r"killed, perhaps because memory ran out, at one of: task 0"
    ):
        with open_executor("process", 2) as perform:
            finished(perform, tasks)
            finished(perform, bad)
    assert all(task.done.is_file() for task in tasks)
    assert not list((tmp_path / "bad").iterdir())


def test_ray_that_is_absent(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"needs the package ray; .*requirements-extra\.txt"):
        with open_executor("ray", 2):
            pass


def children(pid):
    """Processes that `pid` started, from /proc."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_run(tmp_path, number):
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from common.errors import run_main\n"
        "from corpus.executors import Task, open_executor\n"
        "folder = Path(sys.argv[1])\n"
        "def main():\n"
        "    tasks = [Task(str(i), time.sleep, (100,), folder / str(i), 1 << 30) for i in '01']\n"
        "    with open_executor('process', 2) as perform:\n"
        "        list(perform(tasks))\n"
        "run_main(main)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    # Two workers, and the process with which Python tracks shared resources.
    wait_until(lambda: len(children(process.pid)) >= 3)
    workers = children(process.pid)
    time.sleep(0.5)
    begin = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate()
    wait_until(lambda: not any(map(alive, workers)))
    assert time.monotonic() - begin < 30
    if number == signal.SIGINT:
        assert (process.returncode, errors) == (130, "interrupted\n")
