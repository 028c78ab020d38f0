"""The folder of unfinished work: stages, their tasks, and what is finished of them."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from common.errors import UserError
from common.files import disk_errors, read_json
from common.lock import exclusive
from corpus.config import DataConfig
from corpus.executors import Perform, Task
from corpus.progress import Progress

WORK_NAME = "work"


class Unfinished(Exception):
    """The rest of a stage is for other parts of the work, as `data.part` shares it out."""


class Workspace:
    """<data.dir>/work/<key>/: a folder for each stage, with the files and done-files of its tasks.

    A task whose done-file stands is not done again. So a run that was killed goes on where it was:
    lost are the tasks that were being done.
    """

    def __init__(self, root: Path, key: str):
        """`key` names the recipe and its raw files."""
        self.root = root
        self.folder = root / key[:16]

    def path(self, stage: str, name: str) -> Path:
        """Where a file of a stage stands."""
        return self.folder / stage / name

    def task(
        self, stage: str, name: str, n_bytes: int, function: Callable[..., dict], *arguments
    ) -> Task:
        """A task of a stage; its done-file bears its name. `n_bytes` is the size of its input."""
        done = self.path(stage, f"{name}.json")
        return Task(f"{stage} {name}", function, arguments, done, n_bytes)

    def clear(self, stage: str) -> None:
        """Delete the files of a finished stage that nothing reads again, but not its done-files."""
        for path in (self.folder / stage).glob("*"):
            if path.suffix != ".json":
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.root, ignore_errors=True)


@dataclass(frozen=True)
class Build:
    """One run of the data step: what all its stages need."""

    data: DataConfig
    names: list[str]
    """of the sources"""
    work: Workspace
    perform: Perform

    def run(self, stage: str, tasks: Sequence[Task]) -> list[dict[str, Any]]:
        """Do what is not yet done of a stage, and return what its tasks returned, in their order.

        Raises:
            UserError: a task met bad input or a full disk, or a worker died.
            Unfinished: this part's share is done, that of other parts is not.
        """
        index, n_parts = map(int, self.data.part.split("/"))
        mine = [task for task in tasks[index::n_parts] if not task.done.is_file()]
        with Progress(stage, len(mine), sum(task.n_bytes for task in mine)) as progress:
            for task in self.perform(mine) if mine else ():
                progress.advance(task.n_bytes) if task else progress.wait()
        left = sum(not task.done.is_file() for task in tasks) if n_parts > 1 else 0
        if left:
            raise Unfinished(
                f"part {self.data.part} of stage {stage} is done; {left} of its {len(tasks)} "
                "tasks are left to other parts; when all have run, start every part again"
            )
        return [read_json(task.done) for task in tasks]

    def reject(self, message: str) -> NoReturn:
        """Give up on a recipe that must be changed: its work is of no further use.

        Raises:
            UserError: always.
        """
        self.work.remove()
        raise UserError(message)


@contextlib.contextmanager
def open_workspace(data_dir: Path, key: str, shared: bool) -> Iterator[Workspace]:
    """The workspace of a recipe. It outlives the block, so that a later run can go on with it.

    Unless it is `shared` with other parts of the work, this process has it for itself, and deletes
    the work on other recipes and what a killed run had begun to write.

    Raises:
        UserError: another process is at work in the folder, or it cannot be written to.
    """
    workspace = Workspace(data_dir / WORK_NAME, key)
    with disk_errors(workspace.folder):
        workspace.folder.mkdir(parents=True, exist_ok=True)
    if shared:
        yield workspace
        return
    taken = f"another data_process.py is at work in {data_dir}; let it finish or end it"
    with exclusive(workspace.root / "lock", taken):
        _clean_up(data_dir, workspace)
        yield workspace


def _clean_up(data_dir: Path, workspace: Workspace) -> None:
    for other in workspace.root.iterdir():
        if other.is_dir() and other != workspace.folder:
            shutil.rmtree(other)
    for begun in (*data_dir.glob(".*.tmp-*"), *workspace.folder.rglob(".*.tmp-*")):
        begun.unlink(missing_ok=True)
