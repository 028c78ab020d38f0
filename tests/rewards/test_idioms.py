"""Rewards of idioms: what an explanation shares with the true one, and the word that was meant."""

import pytest

from rewards.idioms import character_f1
from rewards.registry import find_reward

KEY = {"answers": ["形容风很大"], "other": "比喻心里急"}


def test_f1_of_characters_by_hand():
    assert character_f1("天地人", "天地人") == 1 and character_f1("", "天") == 0
    # Two of three and two of four; a character counts as often as it stands in both.
    assert character_f1("天天地", "天天天人") == pytest.approx(
        2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4)
    )


@pytest.mark.parametrize(
    "said, nearer",
    [("形容风大", 1), ("比喻心急", 0), ("", 0), ("毫不相干", 0), ("形容心里急", 0)],
)
def test_an_explanation_is_nearer_to_its_word_than_to_another(said, nearer):
    assert find_reward("idiom_explain_nearer").score("解释成语：风云突变", said, KEY) == nearer


@pytest.mark.parametrize("said, right", [("形容风很大\n", 1), ("形容风大", 0), ("", 0)])
def test_an_explanation_is_right_to_the_character(said, right):
    score = find_reward("idiom_explain_right").score
    assert score("解释成语：风云突变", said, KEY) == right
    assert score("解释成语：风云突变", said, KEY, ended=False) == 0


def test_a_guess_is_the_word_and_nothing_else():
    score = find_reward("idiom_guess_right").score
    key = {"answers": ["一马当先"]}
    assert score("猜成语：走在前面", " 一马当先\n", key) == 1
    assert score("猜成语：走在前面", "一马当先。", key) == 0
    assert score("猜成语：走在前面", "一马当先", key, ended=False) == 0


def test_an_empty_answer_is_not_one_that_was_ended():
    assert [find_reward("ended").score("问", said) for said in ("答", "", " \n")] == [1, 0, 0]
