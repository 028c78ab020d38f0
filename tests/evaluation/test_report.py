"""The report of a run directory, without a model: from records, manifests and given results."""

import dataclasses
import math

import pytest

from common.errors import UserError
from corpus.token_file import TRAIN_NAME, TokenFile
from evaluation.abilities import can, limits
from evaluation.exams.scores import ExamResult, subject_score
from evaluation.perplexity import HELD_OUT, TextLoss, format_bits, format_loss
from evaluation.report import write_report
from evaluation.results import RESULTS, Results
from evaluation.suite import Sample
from generation.writer import Continuation
from model.config import ModelConfig

LOSS = TextLoss(3000.0, 1000, 4000.0, HELD_OUT, 20, 0.03)
TEXT = "低头*思*故乡。\n\n# 不是标题 <b>"
CONTINUATION = Continuation("举头望明月，", TEXT, 9, "<eos>", 0.1)
EXAM = ExamResult(
    "CMMLU", 5, subject_score("average", 27, 100), "the mean over the subjects",
    [subject_score("STEM", 7, 50)], [subject_score("anatomy", 7, 50)], 12, 3, "1 of 67 subjects",
)  # fmt: skip
SAMPLES = [Sample("人生如棋，", "落子无悔落子", 0.67, 0.9, "落子", "落子无悔", 4)]
RESULTS_OF_ALL = Results(
    20, "f" * 64, "int8", 64, LOSS, [dataclasses.replace(LOSS, name="novels")],
    [dataclasses.replace(LOSS, name="essay")], [EXAM], [CONTINUATION], SAMPLES,
)  # fmt: skip


@pytest.fixture(scope="module")
def report(run):
    path, page, figure = write_report(run, RESULTS_OF_ALL)
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert "data:image/png;base64," in page.read_text(encoding="utf-8")
    return path.read_text(encoding="utf-8")


def test_a_single_document_has_no_error():
    lone = dataclasses.replace(LOSS, error=math.nan)
    assert (format_loss(lone), format_bits(lone)) == ("3.0000", "1.082")
    assert format_loss(LOSS) == "3.0000 ± 0.0300"


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
    assert "**Bits per byte of held-out text: 1.082 ± 0.011, after 20 of 20 steps.**" in report
    assert "does not depend on the tokenizer" in report
    assert "| loss | 3.0000 ± 0.0300 nats a token |" in report
    assert "| perplexity | 20.09 " in report
    assert "| novels | 1.082 ± 0.011 | 3.0000 ± 0.0300 | 1,000 | 20 |" in report
    assert "| essay | " in report and "64 new tokens in each" in report


def test_shows_chance_and_interval_beside_each_score(report):
    assert "| CMMLU | 5 | 100 | 27.0% (19.3 to 36.4) | 25% | no clear difference |" in report
    assert "12 solved examples did not fit and were left out; 3 questions did not fit" in report
    assert "1 of 67 subjects" in report
    assert "| STEM | 50 | 14.0% (7.0 to 26.2) |\n| anatomy | 50 | 14.0% " in report


def test_shows_continuations_verbatim(report):
    assert "After “举头望明月，” (9 tokens, stopped by eos):\n\n" in report
    shown = report.split("stopped by eos):\n\n")[1].split("\n\n##")[0]
    assert "\n".join(line[4:] for line in shown.splitlines()).rstrip("\n") == TEXT


def test_shows_what_is_repeated_and_copied(report):
    assert "| 人生如棋， | 1 | 0.67 | 0.90 | 2: 落子 | 4: 落子无悔 |" in report
    assert "\n    落子无悔落子\n" in report


def test_says_what_to_expect_and_what_it_was_made_with(report):
    assert "It has not learned to answer questions" in report
    assert "mindspore 2." in report and "lm-eval 0." in report


def test_a_run_without_records_and_results_still_has_a_report(run, tmp_path):
    bare = type(run)(tmp_path / "bare", run.recipe)
    bare.path.mkdir()
    (bare.path / "checkpoints").symlink_to(run.path / "checkpoints")
    text = write_report(bare, Results(20, ""))[0].read_text(encoding="utf-8")
    assert "Speed: not recorded." in text and "has not been measured yet" in text
    assert "Exams" not in text


def test_results_are_kept(tmp_path):
    assert Results.load(tmp_path) is None
    RESULTS_OF_ALL.save(tmp_path)
    loaded = Results.load(tmp_path, RESULTS_OF_ALL.weights)
    kept = dataclasses.replace(CONTINUATION, log_probs=[])
    assert loaded == dataclasses.replace(RESULTS_OF_ALL, continuations=[kept])
    (tmp_path / RESULTS).write_text('{"step": 3}')
    with pytest.raises(UserError, match="is not what this program writes .*; delete it"):
        Results.load(tmp_path)


def test_a_new_measurement_takes_the_place_of_the_old_one():
    results = Results(20, "")
    for correct in (3, 9):
        results.add_exam(dataclasses.replace(EXAM, average=subject_score("x", correct, 10)))
        results.add_text(dataclasses.replace(LOSS, nats=correct))
    results.add_exam(dataclasses.replace(EXAM, shots=0))
    assert [(exam.shots, exam.average.accuracy) for exam in results.exams] == [(5, 0.9), (0, 0.27)]
    assert [text.nats for text in results.texts] == [9]


def model_of(**shape) -> ModelConfig:
    return ModelConfig(vocab_size=8000, **shape)


def test_expectations_grow_with_size_and_shrink_with_loss():
    small, large = model_of(dim=288), model_of(dim=2048, n_layers=22, n_heads=32)
    assert "lost within a sentence or two" in can(small, LOSS)
    assert "coherent paragraphs" in can(large, LOSS)
    noise = dataclasses.replace(LOSS, nats=8500.0)
    assert "Expect noise" in can(large, noise)
    assert "not known" in can(small, dataclasses.replace(LOSS, text_bytes=0.0))


def test_advice_follows_the_tokens_and_the_epochs():
    model = model_of(dim=288)
    few = " ".join(limits(model, model.n_params() * 2, 1.0, None))
    many = " ".join(limits(model, model.n_params() * 40, 9.0, None))
    assert "read 2.0 tokens a parameter" in few and "more text, would help more" in few
    assert "a larger model would now help more" in many and "9.0 times" in many
    assert "times;" not in few
