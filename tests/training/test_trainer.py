"""What `train` refuses before its first step, each with one sentence that says what to do."""

import dataclasses

import numpy as np
import pytest
from mindspore import dtype as mstype

from common.errors import UserError
from corpus.pipeline import build
from corpus.token_file import TRAIN_NAME
from recipe import load_recipe
from runs.checkpoint import WEIGHTS, copy_values
from runs.run import Run, newest_run
from tests.evaluation.cases import REPO, make_run
from training.checks import check_same_data
from training.feeds.tokens import TokenFeed, open_checked
from training.parallel import World
from training.prepared import PreparedRun
from training.trainer import fit_vocabulary, prepare, train

pytestmark = pytest.mark.usefixtures("graph_mode")


@pytest.fixture
def run(tmp_path) -> Run:
    """A run of the debug recipe that has one checkpoint, with its data."""
    return make_run(tmp_path)


def changed(run: Run, section: str, **values):
    """The run's recipe with some fields of one section replaced."""
    part = dataclasses.replace(getattr(run.recipe, section), **values)
    return dataclasses.replace(run.recipe, **{section: part})


def test_data_made_with_another_tokenizer(run):
    smaller = dataclasses.replace(run.recipe.tokenizer, vocab_size=500)
    elsewhere = dataclasses.replace(run.recipe.data, dir=f"{run.recipe.data.dir}-500")
    build(smaller, elsewhere)
    recipe = changed(run, "tokenizer", path=elsewhere.dir)
    with pytest.raises(UserError, match="was made with another tokenizer"):
        train(recipe)


def test_a_token_outside_the_vocabulary(run):
    path = run.path.parent.parent / "data" / TRAIN_NAME
    ids = np.fromfile(path, np.uint16)
    ids[5] = 60_000
    ids.tofile(path)
    with pytest.raises(UserError, match="token id 60000 at position 5"):
        open_checked(run.recipe.data.dir, run.tokenizer())


def test_an_odd_file(run):
    path = run.path.parent.parent / "data" / TRAIN_NAME
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="not a multiple of 2"):
        train(run.recipe)


def test_no_data(run):
    with pytest.raises(UserError, match="run python data_process.py"):
        train(changed(run, "data", dir=str(run.path / "nothing")))


def test_a_vocabulary_that_does_not_match_the_checkpoint(run):
    with pytest.raises(UserError, match="trained with another model.vocab_size; put back"):
        train(changed(run, "model", vocab_size=640))


def test_another_shape(run):
    with pytest.raises(UserError, match="trained with another model.n_layers"):
        train(changed(run, "model", n_layers=3))


def test_another_order_of_the_data(run):
    with pytest.raises(UserError, match="trained with another train.seed"):
        train(changed(run, "train", seed=1))


def test_another_optimizer(run):
    with pytest.raises(UserError, match="trained with another train.optimizer"):
        train(changed(run, "train", optimizer="muon"))


def test_another_model_to_begin_from(run):
    sentence = "began with train.init_from null, now it is gone; put the old value back"
    with pytest.raises(UserError, match=sentence):
        train(changed(run, "train", init_from="gone", max_steps=40))


def test_other_data_under_a_run(run):
    train_file, _ = open_checked(run.recipe.data.dir, run.tokenizer())
    weights = copy_values(list(run.load_model().get_parameters()))
    run.checkpoints.save(30, weights, {}, {"data": train_file.fingerprint})
    check_same_data(prepared(run))
    elsewhere = dataclasses.replace(run.recipe.data, seed=7, dir=f"{run.recipe.data.dir}-7")
    build(run.recipe.tokenizer, elsewhere)
    with pytest.raises(UserError, match="step_00000030 was trained on other contents"):
        train(dataclasses.replace(run.recipe, data=elsewhere))


def test_a_model_smaller_than_the_tokenizer(run):
    small = dataclasses.replace(run.recipe.model, vocab_size=100)
    with pytest.raises(UserError, match="model.vocab_size is 100, but .* has 600 ids"):
        fit_vocabulary(small, run.tokenizer())


def test_starting_anew_over_checkpoints(run):
    with pytest.raises(UserError, match="train.resume is never"):
        train(changed(run, "train", resume="never"))


def test_a_run_that_is_being_trained(run, monkeypatch):
    monkeypatch.setattr("runs.run.PATIENCE", 0.3)
    with run.held(), pytest.raises(UserError, match="another process trains .*/out/debug; let"):
        train(run.recipe)


def test_the_checkpoint_of_the_lowest_held_out_loss(run):
    def choose(checkpoint: str) -> Run:
        return Run.open(run.path, ["--eval.checkpoint", checkpoint])

    with pytest.raises(UserError, match="held-out loss was measured; take the newest"):
        choose("best").load_model()
    first = choose("newest")
    weights = copy_values(list(first.load_model().get_parameters()))
    for step, loss in ((30, 3.0), (40, 4.0)):
        run.checkpoints.save(step, weights, {}, {"val_loss": loss})
    assert first.chosen_checkpoint.step == 20, "it stays the one that was loaded"
    best = choose("best").chosen_checkpoint
    assert best.step == 30 and choose("newest").chosen_checkpoint.step == 40
    (best.path / WEIGHTS).write_bytes(b"")
    with pytest.raises(UserError, match="step_00000030/weights.safetensors is damaged"):
        choose("best").load_model()


def test_recomputation_takes_the_plain_kernels(run):
    """A native kernel of the backward pass adds to the buffer: it must not run twice."""
    prepared = prepare(changed(run, "train", recompute=True))
    assert not prepared.native
    assert prepared.kernels == "plain kernels (auto: train.recompute is on)"
    with pytest.raises(UserError, match="train.kernels is native, but train.recompute is on"):
        prepare(changed(run, "train", recompute=True, kernels="native"))


def test_bfloat16_on_a_cpu_without_it(run, monkeypatch):
    monkeypatch.setattr("model.native.symbols.BFLOAT16_FEATURES", ())
    with pytest.raises(UserError, match="has no instructions for products in bfloat16; use"):
        train(changed(run, "train", compute_dtype="bfloat16"))


def prepared(run: Run, world: World | None = None) -> PreparedRun:
    tokenizer, recipe = run.tokenizer(), run.recipe
    files = open_checked(recipe.data.dir, tokenizer)
    feed = TokenFeed(*files, recipe.model.max_seq_len, tokenizer.eos_id, recipe.train.seed)
    return PreparedRun(run, tokenizer, None, feed, "CPU", mstype.float32, world or World())


def test_ranks_that_cannot_share_the_batch(run):
    with pytest.raises(UserError, match="with 3 ranks it must be a multiple of .* = 768"):
        prepared(run, World(0, 3))
    alone = prepared(run)
    assert (alone.rows_per_step, alone.micro_batches) == (4, 1)
    assert alone.epochs == pytest.approx(20 * 256 / alone.feed.train.n_tokens)


def test_data_shorter_than_a_row(run):
    files = open_checked(run.recipe.data.dir, run.tokenizer())
    with pytest.raises(UserError, match="fewer than one row"):
        TokenFeed(*files, 1 << 16, 2, 0)


def test_the_newest_run_is_the_one_started_last(run, tmp_path):
    assert newest_run(tmp_path / "out") == run.path
    with pytest.raises(UserError, match="run python pretrain.py first"):
        newest_run(tmp_path / "empty")


def test_shipped_recipes_pass_their_own_checks():
    assert load_recipe(REPO / "configs" / "demo.yaml").run_dir.name == "demo"
