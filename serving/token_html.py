"""New text as HTML: the less likely a token, the deeper its colour, and hovering tells more."""

import html
import math
from collections.abc import Callable, Iterable, Sequence

from generation.generation import NewToken
from generation.writer import Piece

Decode = Callable[[Iterable[int]], str]
# From likely to surprising: probabilities from which a class of web.css holds.
SHADES = ((0.5, "p4"), (0.2, "p3"), (0.05, "p2"), (0.01, "p1"), (0.0, "p0"))


def render_pieces(prompt: str, pieces: Sequence[Piece], decode: Decode, summary: str = "") -> str:
    """A prompt and its continuation; `summary` follows when it is complete."""
    text = "".join(_span(piece, decode) for piece in pieces)
    end = f'<p class="summary">{html.escape(summary)}</p>' if summary else ""
    shown = f'<span class="prompt">{html.escape(prompt)}</span>{text}'
    return f'<div class="text">{shown}</div>{end}'


def render_error(message: str) -> str:
    """One sentence in place of a text."""
    return f'<p class="error">{html.escape(message)}</p>'


def _span(piece: Piece, decode: Decode) -> str:
    # The least likely of a character's tokens is the surprise.
    p = min((math.exp(new.log_prob) for new in piece.tokens), default=1.0)
    shade = next(name for limit, name in SHADES if p >= limit)
    title = html.escape("\n\n".join(_told(new, decode) for new in piece.tokens))
    return f'<span class="token {shade}" title="{title}">{html.escape(piece.text)}</span>'


def _told(new: NewToken, decode: Decode) -> str:
    """The probability of a token, and of the likely ones in its place."""
    lines = [f"{_name(new.token, decode)}  {math.exp(new.log_prob):.1%}"]
    lines += [f"    {_name(i, decode)}  {math.exp(p):.1%}" for i, p in new.likely]
    return "\n".join(lines)


def _name(token: int, decode: Decode) -> str:
    """A token's text, or its number where it has none of its own."""
    text = decode([token])
    return repr(text) if text and "\ufffd" not in text else f"#{token}"
