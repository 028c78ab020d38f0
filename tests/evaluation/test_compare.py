"""Runs side by side, from their records alone."""

import dataclasses
import json
import shutil

import pytest

from common.errors import UserError
from corpus.token_file import TRAIN_NAME, TokenFile
from evaluation.compare import OTHER_TEXTS, OTHER_VOCABULARIES, compare
from evaluation.history import bits_per_nat, read_history
from evaluation.results import Results
from recipe import save_recipe
from runs.run import METRICS, Run
from tests.evaluation.test_report import EXAM, LOSS, RESULTS_OF_ALL
from tokenizer.train import train_sentencepiece


@pytest.fixture
def two(run, tmp_path):
    """Two copies of the run, the second with other results."""
    paths = []
    for name in ("a", "b"):
        shutil.copytree(run.path, tmp_path / name)
        paths.append(tmp_path / name)
    exact = dataclasses.replace(RESULTS_OF_ALL, weights="float32")
    exact.save(paths[0])
    other = dataclasses.replace(
        exact, held_out=dataclasses.replace(LOSS, nats=2900.0), exams=[], samples=[]
    )
    other.save(paths[1])
    return paths


def vocabulary(path) -> None:
    """Give a run another tokenizer."""
    train_sentencepiece(["今天天气很好，我们去公园。" * 5] * 20, 280, path / "tokenizer.model")


def test_the_table(two):
    report, page, figure = compare(two)
    assert report.parent == two[0].parent / "comparisons" / "a-b"
    text = report.read_text(encoding="utf-8")
    assert "|  | a | b |\n" in text
    assert "| held-out bits per byte | 1.082 ± 0.011 | 1.046 ± 0.011 |" in text
    assert "| held-out loss | 3.0000 | 2.9000 |" in text
    assert "| tokens trained on | 5,120 | 5,120 |" in text
    assert f"| CMMLU, 5 shots (chance 25%) | {EXAM.average} | — |" in text
    assert "| 人生如棋， | 落子无悔落子 | — |" in text and "| 举头望明月， | " in text
    assert OTHER_TEXTS not in text and "Not evaluated" not in text
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert "data:image/png;base64," in page.read_text(encoding="utf-8")


def test_other_vocabularies_are_compared_by_bits_per_byte(two):
    vocabulary(two[1])
    text = compare(two)[0].read_text(encoding="utf-8")
    assert OTHER_VOCABULARIES in text
    assert "| held-out bits per byte |" in text and "held-out loss" not in text


def test_other_vocabularies_without_bytes_do_not_compare(two, tmp_path):
    vocabulary(two[1])
    run = Run.open(two[1])
    data = dataclasses.replace(run.recipe.data, dir=str(tmp_path / "nothing"))
    save_recipe(dataclasses.replace(run.recipe, data=data), two[1] / "recipe.yaml")
    (two[1] / METRICS).write_text(json.dumps({"step": 1, "loss": 5.0}) + "\n")
    with pytest.raises(UserError, match="/b has another vocabulary .* cannot be compared"):
        compare(two)


def test_a_run_that_was_not_evaluated_and_other_texts_are_told(two, tmp_path):
    shutil.copytree(two[0], tmp_path / "c")
    (tmp_path / "c" / "evaluation.json").unlink()
    Results(20, "", held_out=dataclasses.replace(LOSS, text_bytes=1.0)).save(two[1])
    text = compare([*two, tmp_path / "c"])[0].read_text(encoding="utf-8")
    assert "Not evaluated yet: c; run python eval_pretrain.py" in text
    assert OTHER_TEXTS in text


def test_runs_of_one_name_are_told_apart(two, tmp_path):
    shutil.copytree(two[0], tmp_path / "other" / "a")
    report = compare([two[0], tmp_path / "other" / "a"])[0]
    assert f"{two[0]} | {tmp_path / 'other' / 'a'} |" in report.read_text(encoding="utf-8")


def test_one_run_is_no_comparison(two):
    for paths in (two[:1], [two[0], two[0]]):
        with pytest.raises(UserError, match="at least two run directories"):
            compare(paths)


def test_a_folder_without_a_run(two, tmp_path):
    with pytest.raises(UserError, match="nowhere is not a run directory"):
        compare([two[0], tmp_path / "nowhere"])
    shutil.rmtree(two[1] / "checkpoints")
    with pytest.raises(UserError, match="b has no checkpoint yet"):
        compare(two)


def test_history(run):
    history = read_history(run)
    # Two intervals of 2,560 tokens, at 1,280 and 640 tokens/s; the second loss is not finite.
    assert (history.training.tokens, history.training.losses) == ([2560], [5.9])
    assert (history.seconds, history.tokens_per_s) == (6.0, 960.0)
    assert (history.held_out.losses, history.held_out_bits.losses) == ([5.8], [1.41])
    assert history.held_out.flops == [2560 * run.recipe.model.flops_per_token()]
    manifest = TokenFile.open(f"{run.recipe.data.dir}/{TRAIN_NAME}").manifest
    factor = bits_per_nat(manifest)
    assert factor * 0.6931472 * manifest.text_bytes == pytest.approx(manifest.tokens)
