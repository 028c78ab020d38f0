"""Confidence intervals of shares and means."""

import math
import statistics
from collections.abc import Sequence

Z = 1.959964
"""Standard deviations that hold 95 % of a normal distribution."""


def wilson(successes: float, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share that was counted in independent trials.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    p, n = successes / trials, trials
    middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of independent values, by the normal distribution.

        mean +- 1.96 s / sqrt(n)            s the sample's standard deviation (n - 1)

    Not a number where there are fewer than two values.
    """
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    mean, half = statistics.fmean(values), Z * statistics.stdev(values) / math.sqrt(n)
    return mean - half, mean + half
