"""The folder of unfinished work: stages, their tasks, and what is finished of them."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.files import disk_errors, read_json, write_json
from common.lock import exclusive
from corpus.config import DataConfig
from corpus.executors import Perform, Task
from corpus.progress import Progress

WORK_NAME = "work"
COMPLETE, CLEARED = "complete.json", "cleared.json"


class Unfinished(Exception):
    """The rest of a stage is for other parts of the work, as `data.part` shares it out."""


class Workspace:
    """<data.dir>/work/: a folder for each stage, with the files and done-files of its tasks.

    A task whose done-file stands is not done again. So a run that was killed goes on where it was:
    lost are the tasks that were being done. The name of a folder holds a hash of all that the
    stage depends on, so a recipe that was changed finds the stages before the change done.
    """

    def __init__(self, root: Path, keys: dict[str, str]):
        """`keys` holds the hash of each stage; a stage of one source is called `read:0`."""
        self.root = root
        self.folders = {
            stage: root / f"{stage.split(':')[0]}-{key[:16]}" for stage, key in keys.items()
        }

    def path(self, stage: str, name: str) -> Path:
        """Where a file of a stage stands."""
        return self.folders[stage] / name

    def task(
        self, stage: str, name: str, n_bytes: int, function: Callable[..., dict], *arguments
    ) -> Task:
        """A task of a stage; its done-file bears its name. `n_bytes` is the size of its input."""
        done = self.path(stage, f"{name}.json")
        return Task(f"{stage} {name}", function, arguments, done, n_bytes)

    def replace(self, stage: str, following: str) -> None:
        """Delete the files of a stage, all of which went into the `following` one, now complete.

        The done-files stay, with what they hold.
        """
        write_json(self.path(following, COMPLETE), {})
        for path in self.folders[stage].glob("*"):
            if path.suffix != ".json":
                path.unlink(missing_ok=True)
        write_json(self.path(stage, CLEARED), {})

    def lacks(self, stage: str, following: str) -> bool:
        """Whether the files of a stage are deleted, and the `following` one is not complete."""
        cleared = self.path(stage, CLEARED).is_file()
        return cleared and not self.path(following, COMPLETE).is_file()

    def remove(self, *stages: str) -> None:
        """Delete all files of stages."""
        for stage in stages:
            shutil.rmtree(self.folders[stage], ignore_errors=True)


@dataclass(frozen=True)
class Build:
    """One run of the data step: what all its stages need."""

    data: DataConfig
    names: list[str]
    """of the sources"""
    work: Workspace
    perform: Perform
    commits: dict[str, str] = field(default_factory=dict)
    """of the sources that were fetched from a hub, by path"""
    scored_by: dict[str, Any] | None = None
    """what data.filter scores documents with"""

    def run(
        self, stage: str, tasks: Sequence[Task], perform: Perform | None = None
    ) -> list[dict[str, Any]]:
        """Do what is not yet done of a stage, and return what its tasks returned, in their order.

        `perform` takes the place of the run's own.

        Raises:
            UserError: a task met bad input or a full disk, or a worker died.
            Unfinished: this part's share is done, that of other parts is not.
        """
        index, n_parts = map(int, self.data.part.split("/"))
        mine = {task.done: task for task in tasks[index::n_parts] if not task.done.is_file()}
        mine = list(mine.values())  # equal sources share their tasks
        with Progress(stage, len(mine), sum(task.n_bytes for task in mine)) as progress:
            for task in (perform or self.perform)(mine) if mine else ():
                progress.advance(task.n_bytes) if task else progress.wait()
        left = sum(not task.done.is_file() for task in tasks) if n_parts > 1 else 0
        if left:
            raise Unfinished(
                f"part {self.data.part} of stage {stage} is done; {left} of its {len(tasks)} "
                "tasks are left to other parts; when all have run, start every part again"
            )
        return [read_json(task.done) for task in tasks]


@contextlib.contextmanager
def open_workspace(
    data_dir: Path, keys: dict[str, str], replaced: Sequence[tuple[str, str]], part: str = "0/1"
) -> Iterator[Workspace]:
    """The workspace of a recipe. It outlives the block, so that a later run can go on with it.

    Unless it is shared with other parts of the work, this process has it for itself, and deletes
    what other recipes left and what a killed run had begun to write. `replaced` names the stages
    whose files are deleted once the following one is complete, the last first.

    Raises:
        UserError: another process is at work in the folder, or it cannot be written to.
        Unfinished: part 0 must do a stage again first.
    """
    workspace = Workspace(data_dir / WORK_NAME, keys)
    with disk_errors(workspace.root):
        workspace.root.mkdir(parents=True, exist_ok=True)
    index, n_parts = map(int, part.split("/"))
    taken = f"another data_process.py is at work in {data_dir}; let it finish or end it"
    alone = exclusive(workspace.root / "lock", taken) if n_parts == 1 else contextlib.nullcontext()
    with alone:
        if n_parts == 1:
            _clean_up(data_dir, workspace)
        for stage, following in replaced:
            if workspace.lacks(stage, following):
                if index:
                    raise Unfinished(f"part 0 does stage {stage} again; start it first")
                workspace.remove(stage)
        yield workspace


def _clean_up(data_dir: Path, workspace: Workspace) -> None:
    for other in workspace.root.iterdir():
        if other.is_dir() and other not in workspace.folders.values():
            shutil.rmtree(other)
    for begun in (*data_dir.glob(".*.tmp-*"), *workspace.root.rglob(".*.tmp-*")):
        begun.unlink(missing_ok=True)
