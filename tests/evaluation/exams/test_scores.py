"""Scores and intervals by hand."""

import pytest

from evaluation.exams.scores import Score, average_score, subject_score


def test_wilsons_interval():
    # 15 of 50: the textbook's example.
    score = subject_score("law", 15, 50)
    assert (score.accuracy, score.low, score.high) == pytest.approx((0.3, 0.1910, 0.4375), abs=1e-3)
    assert score.at_chance and str(score) == "30.0% (19.1 to 43.8)"


@pytest.mark.parametrize("correct", [0, 20])
def test_an_interval_stays_between_nothing_and_all(correct):
    score = subject_score("law", correct, 20)
    assert 0 <= score.low < score.high <= 1
    assert not score.at_chance


def test_a_mean_over_subjects_weighs_them_equally():
    subjects = [subject_score("a", 10, 10), subject_score("b", 250, 1000)]
    mean = average_score("average", subjects, "subjects")
    assert mean.accuracy == pytest.approx(0.625) and mean.questions == 1010
    # The first has no variance; of the second, half of 1.96 standard errors.
    half = 1.959964 / 2 * (0.25 * 0.75 / 999) ** 0.5
    assert (mean.low, mean.high) == pytest.approx((0.625 - half, 0.625 + half))


def test_a_mean_over_questions_weighs_subjects_by_size():
    subjects = [subject_score("a", 10, 10), subject_score("b", 250, 1000)]
    mean = average_score("average", subjects, "questions")
    assert mean == Score("average", 1010, 260 / 1010, mean.low, mean.high)
    assert (mean.low, mean.high) == pytest.approx((0.2315, 0.2853), abs=1e-3)
