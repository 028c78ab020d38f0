"""Confidence intervals of shares."""

import math

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
