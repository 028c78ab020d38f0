"""eval_pretrain.py as a user runs it."""

import dataclasses
import shutil
import textwrap

import pytest

from benchmarks.exams import write_cmmlu
from evaluation.results import Results
from recipe import save_recipe
from runs.checkpoint import copy_values
from runs.run import RECIPE
from tests.evaluation.cases import STEPS, make_run
from tests.evaluation.test_report import LOSS

COMPARISON = ("report.md", "report.html", "loss.png")


@pytest.fixture(scope="module")
def run(graph_mode, tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("eval"))


def test_the_newest_run_is_evaluated_in_full(run_command, run):
    workplace = run.path.parent.parent
    result = run_command("eval_pretrain.py", "--eval.samples", 1, cwd=workplace)
    assert result.returncode == 0, result.stderr
    assert "held-out text: loss 6." in result.stdout
    assert "6 samples of the continuation suite: distinct-1 " in result.stdout
    assert "longest copy from the training file " in result.stdout
    assert "perplexity" in result.stdout and "bits per byte" in result.stdout
    assert "\n小明在学校 ->\n" in result.stdout
    assert result.stdout.rstrip().endswith("held-out text; read out/debug/report.md")
    assert "\nout/debug after 20 steps: " in result.stdout
    report = (run.path / "report.md").read_text(encoding="utf-8")
    text = result.stdout.split(" ->\n")[1].split("\n(")[0]
    # An untrained model writes any byte, so its lines may end in more than \\n.
    assert textwrap.indent(text, "    ", lambda line: True) in report
    assert {path.name for path in workplace.iterdir()} == {"data", "out"}, "nothing else is left"


def test_a_prompt_beyond_the_context_is_left_out_and_all_else_kept(run_command, run, tmp_path):
    short = run.path.with_name("short")
    shutil.copytree(run.path, short)
    model = dataclasses.replace(run.recipe.model, max_seq_len=32)
    train = dataclasses.replace(run.recipe.train, tokens_per_step=128)
    save_recipe(dataclasses.replace(run.recipe, model=model, train=train), short / RECIPE)
    result = run_command("eval_pretrain.py", "--run", short, "--eval.samples", 1)
    assert result.returncode == 0, result.stderr
    assert "left out “《小王子》是一本畅销童话书，它讲述了：”: the prompt has " in result.stdout
    report = (short / "report.md").read_text(encoding="utf-8")
    assert "**Bits per byte of held-out text: 1." in report and "after 20 of 20 steps" in report
    assert "## What was left out" in report and "but the context of 32 has room for 30" in report
    assert Results.load(short).samples, "those that fit are there"
    asked = ("--prompt", "《小王子》是一本畅销童话书，它讲述了：")
    result = run_command("eval_pretrain.py", "--run", short, *asked)
    shutil.rmtree(short)
    assert result.returncode == 1 and "shorten it" in result.stderr


def test_what_was_measured_is_kept_when_the_next_measurement_fails(run_command, run, tmp_path):
    (tmp_path / "novel.txt").write_text("小明在学校读书。" * 20, encoding="utf-8")
    (tmp_path / "empty.txt").write_text("", encoding="utf-8")
    texts = ("--text", f"kept={tmp_path / 'novel.txt'}", tmp_path / "empty.txt")
    result = run_command("eval_pretrain.py", "--run", run.path, *texts)
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
    assert "| kept | " in (run.path / "report.md").read_text(encoding="utf-8")
    assert [text.name for text in Results.load(run.path).texts] == ["kept"]


def test_texts_and_exams_are_added_to_the_report(run_command, run, tmp_path):
    Results(STEPS, run.tokenizer().fingerprint, held_out=LOSS).save(run.path)
    write_cmmlu(tmp_path / "cmmlu", questions=2)
    (tmp_path / "novel.txt").write_text("小明在学校读书。" * 20, encoding="utf-8")
    texts = ("--text", f"novel={tmp_path / 'novel.txt'}")
    exam = ("--exam", "cmmlu", "--exam_data", tmp_path, "--shots", 5, "--subjects", "arts")
    result = run_command("eval_pretrain.py", "--run", run.path, *texts, *exam)
    assert result.returncode == 0, result.stderr
    assert "\nnovel: loss 6." in result.stdout and "held-out" not in result.stdout
    assert "\nexam CMMLU, 5 shots: " in result.stdout and ", chance 25%" in result.stdout
    report = (run.path / "report.md").read_text(encoding="utf-8")
    assert "| novel | " in report and "| CMMLU | 5 | 2 | " in report
    assert "Bits per byte of held-out text: 1.082" in report, "what was measured before is kept"


def test_the_best_checkpoint(run_command, run):
    weights = copy_values(list(run.load_model().get_parameters()))
    best = run.checkpoints.save(STEPS // 2, weights, {}, {"val_loss": 6.0})
    arguments = ("--run", run.path, "--eval.checkpoint", "best", "--prompt", "小明")
    result = run_command("eval_pretrain.py", *arguments)
    shutil.rmtree(best.path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0].endswith(f" parameters, step {STEPS // 2}")


def test_runs_are_compared(run_command, run):
    other = run.path.with_name("other")
    shutil.copytree(run.path, other)
    result = run_command(
        "eval_pretrain.py", "--compare", "out/debug", "out/other", cwd=run.path.parent.parent
    )
    shutil.rmtree(other)
    assert result.returncode == 0, result.stderr
    files = [f"wrote out/comparisons/debug-other/{name}" for name in COMPARISON]
    assert result.stdout.splitlines() == files


def test_prompts_are_only_continued(run_command, run, tmp_path):
    (tmp_path / "prompts.txt").write_text("小明\n", encoding="utf-8")
    prompts = ("--prompt", "小明", "--prompts_file", tmp_path / "prompts.txt")
    result = run_command("eval_pretrain.py", "--run", run.path, *prompts, "--eval.temperature", 0)
    assert result.returncode == 0, result.stderr
    first, second = (part.split("\n(")[0] for part in result.stdout.split("小明 ->\n")[1:])
    assert first == second
    assert "held-out" not in result.stdout and "wrote" not in result.stdout


def test_several_attempts_with_log_probabilities(run_command, run):
    options = ("--eval.attempts", 3, "--eval.log_probs", "true", "--eval.stop", "[。]")
    result = run_command("eval_pretrain.py", "--run", run.path, "--prompt", "小明", *options)
    assert result.returncode == 0, result.stderr
    assert "(attempt 3 of 3, " in result.stdout
    assert result.stdout.count("(log-probabilities: -") == 3
    unknown = run_command("eval_pretrain.py", "--run", run.path, "--eval.top_q", 1)
    assert unknown.returncode == 1
    assert "--eval.top_q is unknown; did you mean --eval.top_" in unknown.stderr
    assert len(unknown.stderr.splitlines()) == 1


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
