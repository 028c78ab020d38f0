"""export.py as a user runs it, and a new run that starts from what it wrote."""

import dataclasses
import re
import runpy
import shutil
import sys

import pytest
import yaml

from common.errors import UserError
from interop.initial import read_initial
from runs.checkpoint import copy_values
from tests.evaluation.cases import REPO, STEPS, make_run
from training.trainer import train


@pytest.fixture(scope="module")
def run(graph_mode, tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def exported(run, run_command):
    """The folder that a run was exported to, and what the command said."""
    folder = run.path.parent.parent / "exported" / "hf"
    result = run_command("export.py", "--run", run.path, "--format", "hf", "--output", folder)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def test_a_run_is_exported(exported):
    folder, said = exported
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "generation_config.json", "model.safetensors", "README.md"),
        *("tokenizer.json", "tokenizer_config.json", "tokenizer.model"),
    }
    assert said.startswith(f"wrote {folder} (hf): read back, its scores after")
    assert "differ by at most 0 of the largest score" in said
    assert "| all | " in (folder / "README.md").read_text(encoding="utf-8"), "counts of the data"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("llama2c", "model.bin"),
        ("llama2c-q8", "model.bin"),
        ("gguf", "model.gguf"),
        ("mindformers", "train.yaml"),
    ],
)
def test_other_formats(name, file, run, monkeypatch, capsys, tmp_path):
    arguments = ["--run", run.path, "--format", name, "--output", tmp_path / name]
    monkeypatch.setattr(sys, "argv", ["export.py", *map(str, arguments)])
    assert runpy.run_path(str(REPO / "export.py"))["main"]() == 0
    assert f"wrote {tmp_path / name} ({name}): read back" in capsys.readouterr().out
    assert (tmp_path / name / file).is_file()


def test_the_best_checkpoint(run, monkeypatch, capsys, tmp_path):
    """The model card has the figures of that step."""
    weights = copy_values(list(run.load_model().get_parameters()))
    best = run.checkpoints.save(STEPS // 2, weights, {}, {"val_loss": 5.8})
    arguments = ["--run", run.path, "--format", "hf", "--output", tmp_path / "best"]
    arguments += ["--checkpoint", "best"]
    monkeypatch.setattr(sys, "argv", ["export.py", *map(str, arguments)])
    assert runpy.run_path(str(REPO / "export.py"))["main"]() == 0
    shutil.rmtree(best.path)
    card = (tmp_path / "best" / "README.md").read_text(encoding="utf-8")
    assert f"| step {STEPS // 2} | |" in card and "| 5.8" in card


def test_for_several_devices(run, monkeypatch, capsys, tmp_path):
    """The training data is that of the run's own folder."""
    arguments = ["--run", run.path, "--format", "mindformers", "--output", tmp_path / "cluster"]
    arguments += ["--devices", 2, "--model_parallel", 2]
    monkeypatch.setattr(sys, "argv", ["export.py", *map(str, arguments)])
    assert runpy.run_path(str(REPO / "export.py"))["main"]() == 0
    assert f"wrote {tmp_path / 'cluster'} (mindformers)" in capsys.readouterr().out
    recipe = yaml.safe_load((tmp_path / "cluster" / "scale.yaml").read_text(encoding="utf-8"))
    assert recipe["parallel_config"]["model_parallel"] == 2
    assert (tmp_path / "cluster" / "data" / "train.idx").is_file()


def test_int8_weights(run, run_command):
    """Perplexity beside float32, of the same command."""
    text = run.path / "text.txt"
    text.write_text("春天来了，花都开了。" * 20, encoding="utf-8")
    said = {}
    for weights in ("float32", "int8"):
        result = run_command(
            "eval_pretrain.py", "--run", run.path, "--text", text, "--eval.weights", weights
        )
        assert result.returncode == 0, result.stderr
        said[weights] = float(re.search(r"perplexity ([\d.]+)", result.stdout)[1])
    assert said["int8"] == pytest.approx(said["float32"], rel=0.01)
    assert said["int8"] != said["float32"]


def test_a_new_run_starts_from_it(exported, run, run_command):
    workplace = run.path.parent.parent
    options = ["--config", run.path / "recipe.yaml", "--name", "second", "--train.max_steps", 4]
    start = run_command(
        "pretrain.py", *options, "--train.init_from", exported[0], "--train.warmup_steps", 2,
        cwd=workplace,
    )  # fmt: skip
    assert start.returncode == 0, start.stderr
    assert f"initial weights: {exported[0]}, " in start.stdout
    assert "all tensors are loaded; the vocabularies are the same" in start.stdout
    second = workplace / "out" / "second"
    assert "all tensors are loaded" in (second / "train.log").read_text(encoding="utf-8")
    recipe = yaml.safe_load((second / "recipe.yaml").read_text(encoding="utf-8"))
    assert recipe["train"]["init_from"] == str(exported[0])


def test_a_run_that_goes_on_does_not_read_it_again(run):
    settings = dataclasses.replace(run.recipe.train, init_from="gone", max_steps=STEPS)
    recipe = dataclasses.replace(run.recipe, train=settings)
    assert train(recipe, read_initial) == 0, "it has its steps already"
    with pytest.raises(UserError, match="gone is no model to start from"):
        train(dataclasses.replace(recipe, name="third"), read_initial)
    assert not (run.path.parent / "third").exists(), "nothing was written"


@pytest.mark.parametrize(
    ("script", "options", "says"),
    [
        ("export.py", ("--run", "nowhere", "--format", "hf", "--output", "x"), "not a run dir"),
        ("export.py", ("--run", "x", "--format", "onnx", "--output", "x"), "invalid choice"),
        ("pretrain.py", ("--name", "third", "--train.init_from", "bad.ckpt"), "is a pickle"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(script, options, says, run, run_command, tmp_path):
    (tmp_path / "bad.ckpt").write_bytes(b"\x80\x04.")
    recipe = ("--config", run.path / "recipe.yaml", "--out_dir", "out")
    options = options if script == "export.py" else (*recipe, *options)
    result = run_command(script, *options, cwd=tmp_path)
    assert result.returncode == 1
    assert says in result.stderr and len(result.stderr.splitlines()) == 1
    assert {path.name for path in tmp_path.rglob("*")} == {"bad.ckpt"}, "nothing was written"
