"""Best of n: which answer is picked, what is kept of it, and what is refused."""

import dataclasses
import math

import pytest

from chat.template import ChatTemplate
from common.errors import UserError
from corpus.config import DataConfig, SourceConfig
from corpus.example_pipeline import build_examples
from evaluation.best_of import measure_best_of, prompt_tasks, read_tasks
from evaluation.evaluate import evaluate_best_of
from evaluation.options import BestOfOptions, parse_options
from evaluation.results import Results
from rewards.registry import REWARDS, Reward, load_rewards
from runs.run import Run
from tokenizer.config import TokenizerConfig

PROMPTS = ["小明在学校", "天气", "河边"]


@pytest.fixture
def few(run):
    """The run, answering briefly."""
    return Run.open(run.path, ["--eval.max_new_tokens", "8", "--eval.temperature", "1.0"])


@pytest.fixture
def length(monkeypatch):
    """A reward: characters of an answer, and nothing for answers of an odd number."""
    load_rewards()

    def score_all(answers):
        sizes = [len(answer.completion) for answer in answers]
        return [float(size) if size % 2 == 0 else math.nan for size in sizes]

    monkeypatch.setitem(REWARDS, "length", Reward("length", score_all))


def test_the_best_is_picked_and_kept(few, length, capsys):
    paths = evaluate_best_of(few, BestOfOptions(6, "length", None), PROMPTS)
    (found,) = Results.load(few.path).best_of
    assert (found.reward, found.n) == ("length", 6)
    assert len(found.picked) + found.not_scored == len(PROMPTS)
    for picked in found.picked:
        assert picked.best_reward == len(picked.best) >= picked.first_reward == len(picked.first)
    assert "best of 6" in capsys.readouterr().out
    assert "Best of 6 answers by length" in paths[0].read_text(encoding="utf-8")
    assert measure_best_of(few, prompt_tasks(PROMPTS), 6, "length") == found


def test_tasks_of_a_folder(few, length, tmp_path):
    with pytest.raises(UserError, match="was not trained on tasks; name questions with --prompt"):
        read_tasks(few, None)
    lines = [f'{{"prompt": "{a}{b}？", "answer": 1}}' for a in "天地人和" for b in "风雨山水"]
    (tmp_path / "tasks.jsonl").write_text("\n".join(lines), encoding="utf-8")
    data = DataConfig(
        str(tmp_path / "data"), [SourceConfig("tasks", str(tmp_path / "tasks.jsonl"))],
        kind="task", template="question_answer", val_fraction=0.4, workers=1,
    )  # fmt: skip
    build_examples(
        ChatTemplate.for_tokenizer(few.tokenizer(), data.template), data, TokenizerConfig()
    )
    keys = read_tasks(few, tmp_path / "data")
    assert 2 < len(keys) < 14 and keys[0]["answer"] == 1
    with pytest.raises(UserError, match="no chat template, and the task"):
        measure_best_of(few, keys, 2, "length")


def test_what_cannot_be_meant_is_one_sentence(few):
    keys = prompt_tasks(PROMPTS)
    with pytest.raises(UserError, match="depends on all answers of a batch"):
        measure_best_of(few, keys, 2, "poem_word_variety")
    greedy = dataclasses.replace(few.recipe.eval, temperature=0.0)
    with pytest.raises(UserError, match="eval.temperature is 0, so 2 answers to a prompt are the"):
        measure_best_of(
            Run(few.path, dataclasses.replace(few.recipe, eval=greedy)), keys, 2, "ended"
        )
    with pytest.raises(UserError, match="reward 'nothing' is unknown"):
        measure_best_of(few, keys, 2, "nothing")


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--best_of", "4"], "--best_of and --reward belong together"),
        (["--tasks", "data"], "--best_of and --reward belong together"),
        (["--best_of", "1", "--reward", "ended"], "there must be at least 2"),
        (
            ["--best_of", "4", "--reward", "ended", "--chat"],
            "--best_of and --chat are two commands",
        ),
        (
            ["--best_of", "4", "--reward", "ended", "--tasks", "data", "--prompt", "x"],
            "--tasks and --prompt both say what is asked",
        ),
    ],
)
def test_options_that_contradict(words, sentence):
    with pytest.raises(UserError, match=sentence):
        parse_options(words)
