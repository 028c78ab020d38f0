"""A reward model as a reward."""

import math

import numpy as np
import pytest

from common.errors import UserError
from rewards.answer import Answer
from rewards.model import RewardModel
from rewards.registry import find_reward
from rewards.weighted import WeightedReward
from tests.evaluation.cases import make_reward_run, make_run

pytestmark = pytest.mark.usefixtures("graph_mode")
SAID = [("小明在哪里？", "小明在公园。"), ("小明在哪里？", " "), ("谁", "老师。")]
ANSWERS = [Answer(*said) for said in SAID]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("reward"))


@pytest.fixture(scope="module")
def reward_run(base):
    return make_reward_run(base)


def test_the_number_of_an_answer_is_that_of_its_last_id(reward_run):
    name = f"model:{reward_run.path}"
    found = find_reward(name).score_all(ANSWERS)
    assert math.isnan(found[1]), "nothing was said"
    alone = [find_reward(name).score_all([answer])[0] for answer in (ANSWERS[0], ANSWERS[2])]
    np.testing.assert_allclose([found[0], found[2]], alone, rtol=1e-4)
    assert abs(found[0] - found[2]) > 1e-3
    scores = WeightedReward({name: 2.0})(ANSWERS)
    assert scores.failed == 1 and scores.total[0] == pytest.approx(2 * found[0])


def test_what_is_no_reward_model_of_this_vocabulary_is_refused(base, reward_run):
    with pytest.raises(UserError, match="is no reward model: its objective.kind is pretrain"):
        RewardModel(base)
    name = f"model:{reward_run.path}"
    WeightedReward({name: 1.0}, base.tokenizer().fingerprint)
    with pytest.raises(UserError, match="was trained with another tokenizer than the model of"):
        WeightedReward({name: 1.0}, "another")
