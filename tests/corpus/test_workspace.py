import subprocess
import sys

import pytest

from common.errors import UserError
from corpus.config import DataConfig
from corpus.executors import open_executor
from corpus.workspace import Build, Unfinished, open_workspace


def note(number):
    return {"number": number}


def stage(folder, part="0/1", count=6):
    """Run a stage of `count` tasks in the workspace of a folder."""
    data = DataConfig(str(folder), part=part, workers=1)
    with (
        open_workspace(folder, {"stage": "key"}, [], part) as work,
        open_executor("process", 1) as perform,
    ):
        tasks = [work.task("stage", f"{i}", 1, note, i) for i in range(count)]
        return Build(data, [], work, perform).run("stage", tasks)


def test_results_come_in_the_order_of_the_tasks(tmp_path):
    assert stage(tmp_path) == [{"number": i} for i in range(6)]


def test_parts_share_a_stage(tmp_path):
    with pytest.raises(Unfinished, match="4 of its 6 tasks are"):
        stage(tmp_path, "1/3")
    done = {path.name for path in tmp_path.glob("work/stage-key/*.json")}
    assert done == {"1.json", "4.json"}
    with pytest.raises(Unfinished, match="2 of its 6 tasks are left"):
        stage(tmp_path, "0/3")
    assert stage(tmp_path, "2/3") == [{"number": i} for i in range(6)]


def test_what_a_killed_run_had_begun_is_deleted(tmp_path):
    begun = [tmp_path / ".val_data.bin.tmp-1", tmp_path / "work" / "stage-key" / ".0.tmp-2"]
    other = tmp_path / "work" / "other"
    begun[1].parent.mkdir(parents=True)
    other.mkdir()
    for path in begun:
        path.touch()
    stage(tmp_path)
    assert not any(path.exists() for path in [*begun, other])


def test_two_runs_in_one_folder(tmp_path):
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from corpus.workspace import open_workspace\n"
        "with open_workspace(Path(sys.argv[1]), {}, []):\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"ready\n"
        with pytest.raises(UserError, match="another data_process.py is at work in"):
            stage(tmp_path)
        other.stdin.close()
    assert len(stage(tmp_path)) == 6


def test_a_stage_whose_files_are_gone_is_done_again_unless_the_following_is_complete(tmp_path):
    keys, replaced = {"read:0": "r", "clean:0": "c"}, [("read:0", "clean:0")]
    with open_workspace(tmp_path, keys, replaced) as work:
        work.path("read:0", "0.items").parent.mkdir()
        work.path("read:0", "0.items").touch()
        work.path("read:0", "0.json").touch()
        work.replace("read:0", "clean:0")
        assert not work.path("read:0", "0.items").exists()
        assert work.path("read:0", "0.json").exists()
    with open_workspace(tmp_path, keys, replaced) as work:
        assert work.path("read:0", "0.json").exists()
    keys["clean:0"] = "other"
    with (
        pytest.raises(Unfinished, match="part 0 does stage read:0 again; start it first"),
        open_workspace(tmp_path, keys, replaced, "1/2"),
    ):
        pass
    with open_workspace(tmp_path, keys, replaced) as work:
        assert not work.folders["read:0"].exists()


@pytest.mark.parametrize("part", ["3/3", "1", "-1/2", "a/b", "0/0"])
def test_wrong_part(part):
    with pytest.raises(ValueError, match=r"data\.part is .*; it must be like 3/16"):
        DataConfig(part=part)
