"""Real documents with near-duplicates of some of them put in: what deduplication must find."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SEED = 2024
ADVERTISEMENTS = (
    "加微信 abc12345 领取优惠券，前一百名半价！",
    "本文转载自网络，版权归原作者所有，如有侵权请联系删除。",
    "更多精彩内容请关注我们的公众号，每天推送最新资讯。",
    "手机用户请到手机版阅读，最新章节全网首发，支持正版！",
)


@dataclass(frozen=True)
class Injected:
    """Document `copy` was made of document `original` by the change `kind`."""

    original: int
    copy: int
    kind: str


def edit(share: float) -> Callable[[str, random.Random], str]:
    """A change that replaces, deletes or doubles a share of the characters, one third each."""

    def change(text: str, rng: random.Random) -> str:
        characters = list(text)
        for place in rng.sample(range(len(text)), max(1, round(share * len(text)))):
            other = rng.choice(text)
            characters[place] = rng.choice([other, "", characters[place] + other])
        return "".join(characters)

    return change


def advertise(text: str, rng: random.Random) -> str:
    """Append an advertisement."""
    return text + "\n" + rng.choice(ADVERTISEMENTS)


def cut(text: str, rng: random.Random) -> str:
    """Keep the first 80 %."""
    return text[: round(0.8 * len(text))]


KINDS: dict[str, Callable[[str, random.Random], str]] = {
    "1 % edited": edit(0.01),
    "3 % edited": edit(0.03),
    "6 % edited": edit(0.06),
    "advertisement": advertise,
    "cut to 80 %": cut,
}


def inject(base: Sequence[str], n_copies: int) -> tuple[list[str], list[Injected]]:
    """`base`, followed by `n_copies` changed copies of different documents, the kinds in turn.

    A pure function of its arguments.
    """
    rng = random.Random(SEED)
    originals = rng.sample(range(len(base)), n_copies)
    documents, injected = list(base), []
    for turn, original in enumerate(originals):
        kind = list(KINDS)[turn % len(KINDS)]
        injected.append(Injected(original, len(documents), kind))
        documents.append(KINDS[kind](base[original], rng))
    return documents, injected
