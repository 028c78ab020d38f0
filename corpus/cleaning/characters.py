"""Rules for single characters: their form, their width, and runs of them."""

import functools
import re

from corpus.cleaning.registry import Count, Verdict, rule

LINE_BREAK = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# C0 and C1 without tab and line break, soft hyphen, zero width, directions, byte order mark,
# private use, surrogates without partner, noncharacters. The joiner U+200D stays: emoji need it.
CONTROL = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\xad\u200b\u200c\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffd\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff\ue000-\uf8ff]+"
)

# Full-width letters, digits and the signs of numbers and code; ，：；！？（） belong to Chinese.
WIDE_SIGNS = "＂＃＄％＆＇＊＋－．／＜＝＞＠＼＾＿｀｛｜｝"
WIDE = re.compile(f"[０-９Ａ-Ｚａ-ｚ{WIDE_SIGNS}]")
# Half-width forms of Chinese punctuation, from Japanese text.
NARROW = {"｡": "。", "｢": "「", "｣": "」", "､": "、", "･": "·", "\u3000": " ", "\xa0": " "}
NARROW_RE = re.compile(f"[{''.join(NARROW)}]")

SPACES = re.compile(r"[^\S\n]{2,}|[^\S\n ]")
BEFORE_MARKS = re.compile(" +(?=[，。！？；：、）》」』”’])")
LINE_EDGES = re.compile(r" *\n *")
BLANK_LINES = re.compile(r"\n{3,}")

# A mark, or two in turn such as ！？, over and over; letters, digits and spaces are no marks.
RUN = re.compile(r"([^\w\s]{1,2}?)\1{2,}")
# Marks that come in pairs: an ellipsis and a dash are two characters long.
DOUBLE = "…—"

EMOJI = re.compile(
    "(?:[\U0001f000-\U0001faff\u231a\u231b\u23e9-\u23f3\u25fd\u25fe\u2614\u2615\u2648-\u2653\u267f"
    "\u2693\u26a1\u26aa\u26ab\u26bd\u26be\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa"
    "\u26fd\u2705\u270a\u270b\u2728\u274c\u274e\u2753-\u2755\u2757\u2795-\u2797\u27b0\u27bf\u2b1b"
    "\u2b1c\u2b50\u2b55]|[\xa9\xae\u203c-\u3299](?=\ufe0f))[\U000e0020-\U000e007f\ufe0f\u200d]*"
    "|[\ufe0e\ufe0f\u20e3\u200d]"
)


@rule("control_characters")
def control_characters(text: str) -> Verdict:
    """Remove characters that show nothing; every kind of line break becomes a line feed."""
    return CONTROL.sub("", LINE_BREAK.sub("\n", text))


@rule("width")
def width(text: str) -> Verdict:
    """Full-width letters, digits and spaces become ASCII; Chinese punctuation stays."""
    text = WIDE.sub(lambda match: chr(ord(match[0]) - 0xFEE0), text)
    return NARROW_RE.sub(lambda match: NARROW[match[0]], text)


@rule("whitespace")
def whitespace(text: str) -> Verdict:
    """One space for several, none around a line or before a Chinese mark, one blank line.

    The indentation of code goes too: leave this rule out for a corpus of code.
    """
    text = BEFORE_MARKS.sub("", SPACES.sub(" ", text))
    return BLANK_LINES.sub("\n\n", LINE_EDGES.sub("\n", text)).strip()


@rule("punctuation_runs")
def punctuation_runs(text: str, *, max: Count = 3) -> Verdict:
    """Shorten a mark repeated more than `max` times to `max`; …… and —— to their two characters."""
    return RUN.sub(lambda match: _shorten(match, max), text)


@rule("emoji")
def emoji(text: str, *, replacement: str = "") -> Verdict:
    """Remove emoji, with what joins and colours them; signs such as ★ and ☎ stay."""
    return EMOJI.sub(lambda match: replacement, text)


@rule("simplified")
def simplified(text: str) -> Verdict:
    """Traditional documents become simplified ones, words before characters (OpenCC t2s).

    A document with as many characters that the way back would change is simplified already:
    there the table would only spoil names (萧乾) and words (覆盖).
    """
    converted = _opencc("t2s").convert(text)
    if converted == text:
        return text
    is_traditional = _differing(text, converted) > _differing(text, _opencc("s2t").convert(text))
    return converted if is_traditional else text


def _shorten(match: re.Match, most: int) -> str:
    unit = match[1]
    times = len(match[0]) // len(unit)
    if unit in DOUBLE:
        most = 2
    return unit * min(times, most)


def _differing(text: str, other: str) -> int:
    return sum(a != b for a, b in zip(text, other))


@functools.cache
def _opencc(table: str):
    """A conversion table, loaded once in each process."""
    import opencc

    return opencc.OpenCC(table)
