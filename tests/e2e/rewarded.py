"""post_train.py with a reward that any model can earn at once: the share of Chinese characters."""

import sys

from common.errors import run_main
from rewards.answer import Answer
from rewards.registry import reward


@reward("chinese")
def chinese(answer: Answer) -> float:
    """Share of the characters of an answer that are Chinese."""
    said = answer.completion
    return sum("\u4e00" <= character <= "\u9fff" for character in said) / max(1, len(said))


if __name__ == "__main__":
    import post_train

    sys.exit(run_main(post_train.main))
