"""A run directory to publish: smaller, used as any other, and not trained on."""

import shutil

import numpy as np
import pytest

from chat.template import TEMPLATE_NAME
from common.errors import UserError
from corpus.token_file import VAL_NAME
from interop.exporter import export
from interop.source import open_source
from recipe import load_recipe
from runs.run import Run
from tests.interop.cases import STEPS, make_data, weights_of
from tokenizer.tokenizer import MODEL_NAME
from training.trainer import train


@pytest.fixture(scope="module")
def small(chat_run, tmp_path_factory):
    """A run as its export in float16."""
    folder = tmp_path_factory.mktemp("published") / "small"
    summary = export(chat_run, "run", folder, "float16")
    assert summary.startswith("read back")
    return Run.open(folder)


def test_it_is_opened_as_any_run(small, chat_run):
    (checkpoint,) = small.checkpoints.all()
    assert small.chosen_checkpoint == checkpoint and checkpoint.step == STEPS
    assert {file.name for file in checkpoint.path.iterdir()} == {
        "weights.safetensors",
        "state.json",
    }
    right, found = weights_of(chat_run), weights_of(small)
    for name, value in right.items():
        np.testing.assert_array_equal(found[name], value.astype(np.float16).astype(np.float32))
    for name in (TEMPLATE_NAME, MODEL_NAME):
        assert (small.path / name).read_bytes() == (chat_run.path / name).read_bytes()
    assert "--chat" in (small.path / "README.md").read_text(encoding="utf-8")


def test_others_start_from_it(small, tmp_path):
    weights = open_source(small.path).weights
    np.testing.assert_array_equal(weights["embedding"], weights_of(small)["embedding"])
    assert "differ by at most 0 of" in export(small, "hf", tmp_path / "hf")


def test_its_own_training_does_not_go_on(small, tmp_path):
    shutil.copytree(small.path, tmp_path / "debug")
    overrides = ["--out_dir", str(tmp_path), "--data.dir", str(tmp_path / "data")]
    overrides += ["--train.max_steps", str(STEPS + 1)]
    recipe = load_recipe(small.path / "recipe.yaml", overrides)
    shutil.copy(make_data(Run(recipe.run_dir, recipe)).path, tmp_path / "data" / VAL_NAME)
    small.tokenizer().save(tmp_path / "data")
    with pytest.raises(UserError, match="has weights but no optimizer.safetensors"):
        train(recipe)
