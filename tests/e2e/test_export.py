"""export.py as a user runs it, and a new run that starts from what it wrote."""

import dataclasses

import pytest
import yaml

from common.errors import UserError
from interop.initial import read_initial
from tests.evaluation.cases import STEPS, make_run
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
