"""Ids as text that appears while they come: whole characters, and no text that ends it."""

from collections.abc import Sequence

from tokenizer.tokenizer import Tokenizer

UNFINISHED = "\ufffd"
"""What a tokenizer decodes the first bytes of a character to, until the last one is there."""


class TextStream:
    """Turns ids into text as they come: whole characters, and only what is new.

    New ids are decoded together with those before them, because a piece on its own loses the
    space or the bytes that it shares with its neighbours.
    """

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int] = ()):
        """`before` are the ids that the new ones follow; their text is not shown."""
        self.tokenizer, self.ids = tokenizer, list(before)
        self.shown = len(tokenizer.decode(self.ids))

    def push(self, token: int) -> str:
        """The text that an id completes; empty within a character."""
        self.ids.append(token)
        text = self.tokenizer.decode(self.ids)
        return "" if text.endswith(UNFINISHED) else self._new(text)

    def rest(self) -> str:
        """What is left when no id follows, with unfinished characters as U+FFFD."""
        return self._new(self.tokenizer.decode(self.ids))

    def _new(self, text: str) -> str:
        new, self.shown = text[self.shown :], len(text)
        return new


class StopTexts:
    """Passes text on up to the first of some stop texts, which may come in pieces.

    What may be the beginning of a stop text is held back until that is decided. `found` says
    which one ended the text; "" while none has.
    """

    def __init__(self, stops: Sequence[str]):
        self.stops, self.held, self.found = stops, "", ""

    def push(self, text: str) -> str:
        """The text that can be shown now that `text` has come."""
        held = self.held + text
        ends = [(held.find(stop), stop) for stop in self.stops if stop in held]
        if ends:
            end, self.found = min(ends)
            self.held = ""
            return held[:end]
        shown = len(held) - self._begun(held)
        self.held = held[shown:]
        return held[:shown]

    def rest(self) -> str:
        """What was held back, once no text follows."""
        held, self.held = self.held, ""
        return held

    def _begun(self, text: str) -> int:
        """How many characters at the end may begin a stop text."""
        lengths = (n for stop in self.stops for n in range(1, len(stop)) if text.endswith(stop[:n]))
        return max(lengths, default=0)
