"""eval_pretrain.py as a user runs it."""

import pytest

from tests.evaluation.cases import make_run


@pytest.fixture(scope="module")
def run(graph_mode, tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("eval"))


def test_the_newest_run_is_evaluated_in_full(run_command, run):
    workplace = run.path.parent.parent
    result = run_command("eval_pretrain.py", cwd=workplace)
    assert result.returncode == 0, result.stderr
    assert "held-out loss 6." in result.stdout
    assert "perplexity" in result.stdout and "bits per byte" in result.stdout
    assert "\n小明在学校 ->\n" in result.stdout
    assert result.stdout.rstrip().endswith("wrote out/debug/loss.png")
    report = (run.path / "report.md").read_text(encoding="utf-8")
    text = result.stdout.split(" ->\n")[1].split("\n(")[0]
    assert all(f"    {line}\n" in report for line in text.splitlines())
    assert {path.name for path in workplace.iterdir()} == {"data", "out"}, "nothing else is left"


def test_prompts_are_only_continued(run_command, run, tmp_path):
    (tmp_path / "prompts.txt").write_text("小明\n", encoding="utf-8")
    prompts = ("--prompt", "小明", "--prompts_file", tmp_path / "prompts.txt")
    result = run_command("eval_pretrain.py", "--run", run.path, *prompts, "--eval.temperature", 0)
    assert result.returncode == 0, result.stderr
    first, second = (part.split("\n(")[0] for part in result.stdout.split("小明 ->\n")[1:])
    assert first == second
    assert "held-out" not in result.stdout and "wrote" not in result.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "no run in out/; run python pretrain.py first"),
        (("--run", "nowhere"), "nowhere is not a run directory"),
    ],
)
def test_without_a_run_there_is_one_sentence(run_command, tmp_path, options, says):
    result = run_command("eval_pretrain.py", *options, cwd=tmp_path)
    assert result.returncode == 1
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1
