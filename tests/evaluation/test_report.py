"""The report of a run directory, without a model: from records, manifests and given results."""

import dataclasses

import pytest

from corpus.token_file import TRAIN_NAME, TokenFile
from evaluation.abilities import can, limits
from evaluation.continuation import Continuation
from evaluation.report import write_report
from model.config import ModelConfig
from training.heldout import HeldOutResult

HELD_OUT = HeldOutResult(nats=3000.0, tokens=1000, text_bytes=4000.0)
TEXT = "低头*思*故乡。\n\n# 不是标题 <b>"
CONTINUATION = Continuation("举头望明月，", TEXT, 9, "<eos>", 0.1)


@pytest.fixture(scope="module")
def report(run):
    path, figure = write_report(run, HELD_OUT, [CONTINUATION])
    assert figure.read_bytes().startswith(b"\x89PNG")
    return path.read_text(encoding="utf-8")


def test_says_what_was_trained(run, report):
    model = run.recipe.model
    blocks, total = model.n_params(embedding=False), model.n_params()
    assert report.startswith("# debug: a Llama2 of 0.1 M parameters\n")
    assert f"{total:,} = blocks and norms {blocks:,} + embedding {total - blocks:,}" in report
    assert "width 64, 2 layers, 4 heads, 2 key-value heads" in report
    assert "600 ids of a sentencepiece tokenizer" in report


def test_says_on_what(run, report):
    manifest = TokenFile.open(f"{run.recipe.data.dir}/{TRAIN_NAME}").manifest
    for counts in (manifest.sources[0], manifest):
        assert f"| {counts.documents:,} | {counts.characters:,} | {counts.tokens:,} |" in report


def test_says_how_and_how_fast(run, report):
    tokens = TokenFile.open(f"{run.recipe.data.dir}/{TRAIN_NAME}").n_tokens
    assert f"20 of 20 steps of 256 tokens: 5,120 tokens, {5120 / tokens:.2f} epochs" in report
    assert "learning rate up to 0.002 in 5 steps, then a cosine down to 0.0002" in report
    # Two intervals of 2,560 tokens, at 1,280 and 640 tokens/s: 2 s and 4 s.
    assert "960 tokens/s (median), 0.1 minutes" in report


def test_says_how_well(report):
    assert "**Bits per byte of held-out text: 1.082.**" in report
    assert "does not depend on the tokenizer" in report
    assert "| loss | 3.0000 nats a token |" in report
    assert "| perplexity | 20.09 " in report


def test_shows_continuations_verbatim(report):
    assert "After “举头望明月，” (9 tokens, stopped by eos):\n\n" in report
    shown = report.split("stopped by eos):\n\n")[1].split("\n\n##")[0]
    assert "\n".join(line[4:] for line in shown.splitlines()).rstrip("\n") == TEXT


def test_says_what_to_expect_and_what_it_was_made_with(report):
    assert "It was not taught to answer questions" in report
    assert "mindspore 2." in report


def test_a_run_without_records_still_has_a_report(run, tmp_path):
    bare = type(run)(tmp_path / "bare", run.recipe)
    bare.path.mkdir()
    (bare.path / "checkpoints").symlink_to(run.path / "checkpoints")
    path, _ = write_report(bare, HELD_OUT, [])
    assert "Speed: not recorded." in path.read_text(encoding="utf-8")


def model_of(**shape) -> ModelConfig:
    return ModelConfig(vocab_size=8000, **shape)


def test_expectations_grow_with_size_and_shrink_with_loss():
    small, large = model_of(dim=288), model_of(dim=2048, n_layers=22, n_heads=32)
    assert "lost within a sentence or two" in can(small, HELD_OUT)
    assert "coherent paragraphs" in can(large, HELD_OUT)
    noise = dataclasses.replace(HELD_OUT, nats=8500.0)
    assert "Expect noise" in can(large, noise)
    assert "not known" in can(small, dataclasses.replace(HELD_OUT, text_bytes=0.0))


def test_advice_follows_the_tokens_and_the_epochs():
    model = model_of(dim=288)
    few = " ".join(limits(model, model.n_params() * 2, 1.0, None))
    many = " ".join(limits(model, model.n_params() * 40, 9.0, None))
    assert "read 2.0 tokens a parameter" in few and "more text, would help more" in few
    assert "a larger model would now help more" in many and "9.0 times" in many
    assert "times;" not in few
