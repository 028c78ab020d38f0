"""The measurement of a run that was trained further, and the scores of held-out tasks."""

import dataclasses
import re
import shutil

import numpy as np
import pytest
from mindspore import Tensor

from chat.template import ChatTemplate
from corpus.config import DataConfig, SourceConfig
from corpus.example_file import ExampleFile
from corpus.example_pipeline import build_examples
from corpus.packed_rows import PackedRows
from evaluation.held_out_tasks import TASKS, TaskScore, read_tasks, score_rows
from evaluation.perplexity import Pieces
from evaluation.results import Results
from evaluation.scoring import TokenScores
from evaluation.trained_further import evaluate_trained_further, measure_answers
from runs.run import Run
from tokenizer.config import TokenizerConfig
from training.objectives.config import SftConfig

CHARACTERS = "天地人和风雨山水日月"


@pytest.fixture(scope="module")
def tuned(run, tmp_path_factory):
    """A copy of the run with a template and held-out dialogues, as if it had been fine-tuned."""
    folder = tmp_path_factory.mktemp("tuned")
    words = [a + b + c + d for a, b, c, d in zip(*(CHARACTERS[i:] * 3 for i in (0, 1, 2, 3)))]
    words += [a + c + b + d for a in CHARACTERS for b in "小明" for c in "学校" for d in CHARACTERS]
    lines = ["word,explanation,derivation,example", *(f"{w},好,无,无" for w in sorted(set(words)))]
    (folder / "idiom.csv").write_text("\n".join(lines), encoding="utf-8")
    names = ("idiom_chain", "idiom_explain", "idiom_guess")
    sources = [SourceConfig(name, str(folder / "idiom.csv")) for name in names]
    data = DataConfig(
        str(folder / "data"), sources, kind="sft", template="question_answer",
        val_fraction=0.2, workers=1,
    )  # fmt: skip
    template = ChatTemplate.for_tokenizer(run.tokenizer(), "question_answer")
    build_examples(template, data, TokenizerConfig())
    shutil.copytree(run.path, folder / "tuned")
    template.save(folder / "tuned")
    train = dataclasses.replace(run.recipe.train, init_from=str(run.path))
    recipe = dataclasses.replace(
        run.recipe, name="tuned", data=data, train=train, objective=SftConfig()
    )
    return Run(folder / "tuned", recipe)


def test_everything_is_measured_and_kept(run, tuned, capsys):
    paths = evaluate_trained_further(tuned, tuned.load_model())
    assert [path.name for path in paths] == ["report.md", "report.html"]
    results = Results.load(tuned.path)
    assert all(loss.tokens > 0 and 0 < loss.error < loss.loss for loss in results.sources)
    assert len(results.sources) == 3
    mine, base = results.texts
    assert mine.nats == base.nats and mine.bits_per_byte > 0, "their weights are the same"
    rules = {(score.model, score.rule) for score in results.scores}
    for rule in ("ended", "empty", "idiom_chain_real", "idiom_explain_nearer", "idiom_guess_right"):
        assert {("tuned", rule), (run.recipe.name, rule)} <= rules
    for ended in (score for score in results.scores if score.rule == "ended"):
        (empty,) = (
            score.passed
            for score in results.scores
            if (score.model, score.tasks, score.rule) == (ended.model, ended.tasks, "empty")
        )
        assert ended.passed + empty <= ended.answers
    said = capsys.readouterr().out
    assert "idiom_chain, known last characters" in said and "idiom_guess, held-out words" in said
    assert re.search(r"answers of idiom_guess.*: loss \d\.\d+ ± 0\.\d+ nats/token", said)
    assert "95 % interval" in paths[0].read_text(encoding="utf-8")


def test_the_sources_make_up_the_whole(tuned):
    losses = measure_answers(tuned, tuned.load_model())
    file, model = ExampleFile.open(tuned.recipe.data.dir, "val"), tuned.recipe.model
    packed = PackedRows(file, model.max_seq_len, 0, seed=1)
    trained = sum(packed.row(index)[2].sum() for index in range(packed.plan(0).n_rows))
    assert sum(loss.tokens for loss in losses) == trained
    assert np.isclose(losses[0].loss, np.log(tuned.recipe.model.vocab_size), rtol=0.1)


def test_the_error_is_over_dialogues(tuned):
    """Each dialogue alone in a row, and the formula for the ratio of two sums."""
    model, file = tuned.load_model(), ExampleFile.open(tuned.recipe.data.dir, "val")
    (chain, *_), scores = measure_answers(tuned, model), TokenScores(model)
    nats, counts = [], []
    for index in np.flatnonzero(file.source_numbers == 0):
        ids, mask = (np.zeros(model.config.max_seq_len + 1, np.int32) for _ in range(2))
        found = file.example(int(index))[0]
        if len(found[0]) > len(ids):
            continue  # longer than the context, so in no row
        ids[: len(found[0])], mask[: len(found[0])] = found
        row = (ids[None, :-1].copy(), np.zeros_like(ids[None, 1:]), ids[None, 1:].copy())
        log_probs = scores(*map(Tensor, row))[0].asnumpy()[0]
        nats.append(-(log_probs * mask[1:]).sum())
        counts.append(mask[1:].sum())
    expected = Pieces(np.array(nats), np.array(counts)).loss("", 0.0)
    assert (chain.tokens, chain.pieces) == (expected.tokens, len(nats))
    assert np.isclose(chain.loss, expected.loss, rtol=1e-5)
    assert np.isclose(chain.error, expected.error, rtol=1e-3)


def test_tasks_are_held_out_and_solved_ones_are_not(tuned):
    data = tuned.recipe.data
    groups, solved = read_tasks(TASKS["idiom_chain"], data.sources[0], data, 5)
    words = [key["word"] for keys in groups.values() for key in keys]
    assert words and len(solved) == 3
    assert not set(words) & {key["word"] for key in solved}
    assert all(len(keys) <= 5 for keys in groups.values())


def test_passages_stand_before_tasks_as_before_dialogues(tuned, tmp_path):
    (task, *_), *_ = read_tasks(
        TASKS["idiom_explain"], tuned.recipe.data.sources[0], tuned.recipe.data, 1
    )[0].values()
    (tmp_path / "one.txt").write_text(f"{task['word']}在此。", encoding="utf-8")
    data = dataclasses.replace(tuned.recipe.data, augment_documents=str(tmp_path))
    (asked, *_), *_ = read_tasks(TASKS["idiom_explain"], tuned.recipe.data.sources[0], data, 1)[
        0
    ].values()
    passages = {"role": "system", "content": f"资料：\n[1] {task['word']}在此。"}
    assert asked == task | {"prompt": [passages, *task["prompt"]]}


def test_models_stand_side_by_side():
    scores = [TaskScore("a", "t", "r", 9, 10), TaskScore("b", "t", "r", 1, 10)]
    assert score_rows(scores)[1] == ["t", "r", "10", "90.0% (59.6 to 98.2)", "10.0% (1.8 to 40.4)"]
