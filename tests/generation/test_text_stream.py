"""Stop texts that come in pieces: never shown, and nothing else is lost."""

import numpy as np
import pytest

from generation.text_stream import StopTexts


def passed(stops, pieces) -> tuple[list[str], str]:
    """What is shown after each piece up to the one that ends the text, and which stop did."""
    texts, shown = StopTexts(stops), []
    for piece in pieces:
        shown.append(texts.push(piece))
        if texts.found:
            return shown, texts.found
    return [*shown, texts.rest()], ""


@pytest.mark.parametrize(
    ("stops", "pieces", "shown", "found"),
    [
        ([], ["abc", ""], ["abc", "", ""], ""),
        (["。"], ["春天", "来了。夏", "天"], ["春天", "来了"], "。"),
        (["</s>"], ["a<", "/", "s>b"], ["a", "", ""], "</s>"),
        (["</s>"], ["a<", "/", "t>"], ["a", "", "</t>", ""], ""),
        (["aab"], ["aa", "ab"], ["", "a"], "aab"),
        (["完了"], ["完"], ["", "完"], ""),
        # The one that stands first, whatever their order.
        (["c", "b"], ["abc"], ["a"], "b"),
        (["\n\n", "问："], ["答\n", "\n问：", "x"], ["答", ""], "\n\n"),
    ],
)
def test_text_up_to_the_first_stop(stops, pieces, shown, found):
    assert passed(stops, pieces) == (shown, found)


def test_any_cut_into_pieces_gives_the_same_text():
    rng = np.random.default_rng(0)
    for _ in range(500):
        text = "".join(rng.choice(["a", "b", "c"], 30))
        stops = ["".join(rng.choice(["a", "b", "c"], rng.integers(3, 6))) for _ in range(2)]
        cuts = np.sort(rng.integers(0, 31, 8))
        pieces = [text[i:j] for i, j in zip([0, *cuts], [*cuts, 30])]
        first = min((text.find(stop) for stop in stops if stop in text), default=30)
        assert "".join(passed(stops, pieces)[0]) == text[:first]
