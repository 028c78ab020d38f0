import pytest

from common.ranges import MAX_WHOLE, check_range


@pytest.mark.parametrize(
    ("value", "interval"),
    [(0, "[0, inf)"), (0.0, "[0, 1)"), (1, "(0, 1]"), (MAX_WHOLE, "[0, inf)"), (1e300, "(0, inf)")],
)
def test_a_number_within(value, interval):
    check_range("train.x", value, interval)


@pytest.mark.parametrize(
    ("value", "interval", "rule"),
    [
        (float("nan"), "(0, inf)", "be a finite number"),
        (float("inf"), "(0, inf)", "be a finite number"),
        (float("-inf"), "[0, 1]", "be a finite number"),
        (2**64, "[0, inf)", f"be at most {MAX_WHOLE}"),
        (10**400, "[0, inf)", f"be at most {MAX_WHOLE}"),
        (10**400, "[0, 9]", r"lie in \[0, 9\]"),
        (-(10**400), "[0, inf)", "not be negative"),
        (1, "[0, 1)", r"lie in \[0, 1\)"),
        (0, "(0, 1]", r"lie in \(0, 1\]"),
        (-1, "[0, inf)", "not be negative"),
        (0.0, "(0, inf)", "be positive"),
        (0, "[1, inf)", "be at least 1"),
        (1, "(1, inf)", "be above 1"),
    ],
)
def test_a_number_outside_is_told_with_its_field(value, interval, rule):
    with pytest.raises(ValueError, match=rf"^train\.x is .*; it must {rule}$"):
        check_range("train.x", value, interval)
