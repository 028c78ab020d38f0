"""GRPO from end to end with rewards that fail or say nothing, on the debug model, untrained."""

import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from chat.template import ChatTemplate
from common.errors import UserError
from corpus.config import DataConfig, SourceConfig
from corpus.example_pipeline import build_examples
from generation.completions import Completion
from interop.initial import read_initial, with_base_shape
from recipe import load_recipe
from rewards.answer import Answer
from rewards.registry import REWARDS, Reward, find_reward, load_rewards
from rewards.weighted import Scores
from runs.checkpoint import WEIGHTS
from runs.run import Run
from tests.data.make_corpus import PLACES, TIMES
from tests.evaluation.cases import REPO, make_reward_run, make_run
from tokenizer.config import TokenizerConfig
from training.feeds.credit import GroupCredit
from training.feeds.rollouts import Policy, Rollouts, StepMaker
from training.objectives.config import GrpoConfig
from training.parallel import World
from training.trainer import train

pytestmark = pytest.mark.usefixtures("graph_mode")
STEPS = 2
GRPO = GrpoConfig(
    rewards={"ended": 1.0}, group=4, max_new_tokens=12, table_interval=1, beta=0.05
)  # fmt: skip


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, graph_mode):
    """Two steps of GRPO from the initial weights, its tasks made."""
    folder = tmp_path_factory.mktemp("on-policy")
    base = make_run(folder)
    lines = [json.dumps({"prompt": f"{t}的{p}有什么？"}) for t in TIMES for p in PLACES]
    (folder / "tasks.jsonl").write_text("\n".join(lines), encoding="utf-8")
    source = SourceConfig("tasks", str(folder / "tasks.jsonl"))
    data = DataConfig(
        str(folder / "tasks"), [source], kind="task", template="question_answer",
        val_fraction=0.15, workers=1,
    )  # fmt: skip
    template = ChatTemplate.for_tokenizer(base.tokenizer(), "question_answer")
    build_examples(template, data, TokenizerConfig())
    recipe = load_recipe(REPO / "configs" / "debug-sft.yaml", ["--train.init_from", str(base.path)])
    changed = {"max_steps": STEPS, "tokens_per_step": 1024, "log_interval": 1, "weight_decay": 0.0}
    return dataclasses.replace(
        recipe, data=data, out_dir=str(folder / "out"), objective=GRPO,
        train=dataclasses.replace(recipe.train, **changed),
    )  # fmt: skip


def trained(recipe, name, monkeypatch, score) -> Run:
    """The run after two steps with a reward."""
    load_rewards()
    monkeypatch.setitem(REWARDS, name, Reward(name, lambda answers: list(map(score, answers))))
    objective = dataclasses.replace(GRPO, rewards={name: 1.0})
    recipe = with_base_shape(dataclasses.replace(recipe, name=name, objective=objective))
    assert train(recipe, read_initial) == 0
    return Run.open(recipe.run_dir)


def weights(run: Run) -> bytes:
    return (run.newest_checkpoint().path / WEIGHTS).read_bytes()


def test_a_reward_that_fails_drops_its_rollouts_and_the_run_goes_on(recipe, monkeypatch):
    def score(answer):
        if len(answer.completion) % 4 == 0:
            raise ZeroDivisionError
        return math.nan if len(answer.completion) % 4 == 1 else len(answer.completion) / 12

    run = trained(recipe, "risky", monkeypatch, score)
    records = [record for record in run.metrics() if "loss" in record]
    assert len(records) == STEPS and all(0 < record["failed_rewards"] < 16 for record in records)
    tables = sorted((run.path / "rollouts").iterdir())
    rows = [json.loads(line) for line in tables[0].read_text(encoding="utf-8").splitlines()]
    failed = [row for row in rows if row["reward"] is None]
    assert len(rows) == 16 and len(failed) == records[0]["failed_rewards"]
    assert not any(row["advantage"] for row in failed)


def test_a_reward_of_zero_changes_no_weight(recipe, monkeypatch):
    run = trained(recipe, "nothing", monkeypatch, lambda answer: 0.0)
    assert weights(run) == weights(Run.open(recipe.train.init_from))
    (record, *_) = [record for record in run.metrics() if "loss" in record]
    assert record["groups_without_signal"] == 1 and record["grad_norm"] == 0


def test_a_reward_model_is_a_reward(recipe):
    name = f"model:{make_reward_run(Run.open(recipe.train.init_from)).path}"
    objective = dataclasses.replace(GRPO, rewards={name: 1.0})
    one_step = dataclasses.replace(recipe.train, max_steps=1)
    changed = dataclasses.replace(recipe, name="judged", objective=objective, train=one_step)
    assert train(with_base_shape(changed), read_initial) == 0
    run = Run.open(changed.run_dir)
    (record,) = [record for record in run.metrics() if "loss" in record]
    assert record["failed_rewards"] < 16 and record["grad_norm"] > 0
    (table,) = (run.path / "rollouts").iterdir()
    rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
    said = [Answer(row["prompt"], row["completion"]) for row in rows]
    expected = find_reward(name).score_all(said)
    for row, score in zip(rows, expected):
        assert row["reward"] == (None if math.isnan(score) else pytest.approx(score, abs=1e-3))


def test_a_reward_that_always_fails_ends_the_run(recipe, caplog):
    few = dataclasses.replace(recipe.train, max_bad_steps=2)
    recipe = dataclasses.replace(recipe, train=few)
    completions = [Completion([1, 2], [3], [-1.0])] * 16
    nothing = np.full(16, np.nan, np.float32)
    rolled = Rollouts(completions, [Answer("q", "a")] * 16, Scores(nothing, {"ended": nothing}))
    maker = SimpleNamespace(write=lambda *arguments: rolled, tokenizer=SimpleNamespace(eos_id=0))
    prompts = SimpleNamespace(number=int, read=lambda number: ([1, 2], {}))
    credit = GroupCredit(recipe, 0, World())
    step_maker = StepMaker(recipe, maker, prompts, credit, World())
    rows = step_maker.make(Policy(None, None), 0, recipe.run_dir / "rollouts")
    assert not any(row[2].any() for row in rows), "no loss is taken from them"
    assert "no rollout of step 1 could be scored" in caplog.text
    with pytest.raises(UserError, match="failed on every rollout of 2 steps in a row"):
        step_maker.make(Policy(None, None), 1, recipe.run_dir / "rollouts")
