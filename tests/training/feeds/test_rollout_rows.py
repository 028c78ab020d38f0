"""Advantages within a group, and the columns of completions."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from generation.completions import Completion
from rewards.answer import Answer
from rewards.registry import REWARDS, Reward, load_rewards
from rewards.weighted import Scores, WeightedReward
from training.feeds.rollout_rows import advantages, rollout_rows, write_table
from training.feeds.rollouts import StepRollouts
from training.objectives.config import GrpoConfig


def test_advantages_compare_within_a_group():
    rewards = np.array([1, 0, 0, 1, 5, 5, 5, 5], np.float32)
    found = advantages(rewards, 4, scale_by_std=True)
    deviation = np.std([1, 0, 0, 1], ddof=1) + 1e-4
    np.testing.assert_allclose(found[:4], np.array([0.5, -0.5, -0.5, 0.5]) / deviation, rtol=1e-6)
    assert not found[4:].any(), "equal rewards say nothing"
    np.testing.assert_allclose(advantages(rewards, 4, False)[:4], [0.5, -0.5, -0.5, 0.5])


def test_a_completion_without_a_reward_takes_no_part():
    rewards = np.array([1, np.nan, 0, np.nan, np.nan, 3], np.float32)
    found = advantages(rewards, 3, scale_by_std=False)
    np.testing.assert_allclose(found, [0.5, 0, -0.5, 0, 0, 0])


@pytest.mark.parametrize(
    "normalise, weight, count", [("token", 1, 2), ("sequence", 0.5, 1), ("constant", 0.25, 1)]
)
def test_columns(normalise, weight, count):
    config = GrpoConfig(normalise=normalise, max_new_tokens=4)
    completion = Completion([7, 8, 9], [4, 2], [-1.0, -2.0], ended=True)
    worth = np.array([0.5, 0.0], np.float32)
    scored = np.array([True, False])
    row, dropped = rollout_rows([completion] * 2, worth, config, 6, 0, None, 1, scored)
    tokens, targets, loss_weight, segments, advantage, row_count, old, reference = row
    assert tokens.tolist() == [7, 8, 9, 4, 2, 0] and targets.tolist() == [8, 9, 4, 2, 0, 0]
    assert loss_weight.tolist() == [0, 0, weight, weight, 0, 0]
    assert segments.tolist() == [0, 0, 0, 0, 0, 1], "padding is apart"
    assert old.tolist() == [0, 0, -1, -2, 0, 0] == reference.tolist()
    assert (advantage, row_count) == (0.5, count)
    assert not dropped[2].any() and dropped[5] == 0, "what has no reward is left out of the loss"


def test_a_table_takes_the_place_of_one_that_a_killed_process_began(tmp_path):
    path = tmp_path / "rollouts" / "step_00000004-0.jsonl"
    nothing = np.array([np.nan], np.float32)
    rolled = SimpleNamespace(answers=[Answer("q", "a")], scores=Scores(nothing, {"ended": nothing}))
    write_table(path, rolled, nothing)
    whole = path.read_bytes()
    (path.parent / f".{path.name}.tmp-1").write_bytes(whole[:5])
    write_table(path, rolled, nothing)
    assert list(path.parent.iterdir()) == [path] and path.read_bytes() == whole


def test_a_row_waits_for_its_step():
    steps, found = StepRollouts(), []
    reader = threading.Thread(target=lambda: found.append(steps.get(1, 0)))
    steps.put(0, ["old"])
    reader.start()
    reader.join(0.2)
    assert not found
    steps.put(1, ["new"])
    reader.join(5)
    assert found == ["new"]


def test_a_reward_that_fails_is_counted_and_costs_one_answer(monkeypatch, caplog):
    load_rewards()

    def score(answers):
        if any(answer.completion == "bad" for answer in answers):
            raise ZeroDivisionError
        return [float("inf") if answer.completion == "endless" else 1.0 for answer in answers]

    monkeypatch.setitem(REWARDS, "risky", Reward("risky", score))
    answers = [Answer("q", text) for text in ("good", "bad", "endless")]
    scores = WeightedReward({"risky": 2.0, "nonempty": 1.0})(answers)
    assert scores.total[0] == 3 and np.isnan(scores.total[1:]).all() and scores.failed == 2
    assert scores.means() == {"reward": 3.0, "reward_risky": 1.0, "reward_nonempty": 1.0}
    assert "reward risky failed on 'bad'" in caplog.text
