"""Numbers of a recipe: finite, and within an interval."""

import math

MAX_WHOLE = 2**63 - 1
"""Largest whole number that every library below us takes, as a signed integer of 64 bits."""


def check_range(field: str, value: float, interval: str) -> None:
    """Check that a number lies in an interval in the notation of mathematics.

    Args:
        field: name of the field as the recipe writes it, such as `train.beta1`.
        value: what it holds, whole or not. NaN and infinity lie in no interval, and a whole
            number is never larger than `MAX_WHOLE`.
        interval: such as `[0, 1)`, which holds 0 but not 1, or `(0, inf)`: all positive numbers.

    Raises:
        ValueError: the number lies outside; the sentence names the field.
    """
    low, high = map(float, interval[1:-1].split(","))
    if isinstance(value, float) and not math.isfinite(value):
        rule = "be a finite number"
    elif isinstance(value, int) and value > MAX_WHOLE and math.isinf(high):
        rule = f"be at most {MAX_WHOLE}"
    elif (value > low or (value == low and interval[0] == "[")) and (
        value < high or (value == high and interval[-1] == "]")
    ):
        return
    else:
        rule = _rule(interval, low, high)
    raise ValueError(f"{field} is {value}; it must {rule}")


def _rule(interval: str, low: float, high: float) -> str:
    """What the interval asks of a number, in words where words are shorter."""
    if math.isfinite(high):
        return f"lie in {interval}"
    if low == 0:
        return "not be negative" if interval[0] == "[" else "be positive"
    return f"be {'at least' if interval[0] == '[' else 'above'} {low:g}"
