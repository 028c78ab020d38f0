"""A file for a folder, a name that no file system takes, a folder that is gone: in all entries."""

import pytest

from tests.evaluation.cases import make_run

LONG = "字" * 90
FILE = "a file is where a folder is needed; choose another path"
DEBUG = {"data_process.py", "pretrain.py"}


@pytest.fixture(scope="module")
def workplace(graph_mode, tmp_path_factory):
    """A folder with data, a run, and a file `f`."""
    folder = tmp_path_factory.mktemp("paths")
    make_run(folder)
    (folder / "f").write_text("a file\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("script", "options", "says"),
    [
        ("data_process.py", "--data.dir f", f"cannot write f/work: Not a directory; {FILE}"),
        ("data_process.py", "--data.dir /proc/x", "cannot write /proc/x/work: No such file or"),
        ("data_process.py", f"--data.dir {LONG}", "File name too long"),
        ("pretrain.py", "--out_dir f", f"cannot write f/debug: Not a directory; {FILE}"),
        ("pretrain.py", "--data.dir f", "data.dir is f, which is a file; name the folder of"),
        ("pretrain.py", f"--out_dir {LONG}", "File name too long"),
        ("eval_pretrain.py", "--run f", "f is not a run directory: it has no recipe.yaml"),
        ("serve.py", f"--run {LONG}", "File name too long"),
        ("export.py", "--run out/debug --format gguf --output f/x", FILE),
    ],
)
def test_it_is_one_sentence(run_command, debug_options, workplace, script, options, says):
    given = debug_options if script in DEBUG else ()
    if "--data.dir" not in options and given:
        given = (*given, "--data.dir", "data")
    done = run_command(script, *given, *options.split(), cwd=workplace)
    assert done.returncode == 1 and says in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
