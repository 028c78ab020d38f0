"""A text that is asked for, what is reported of it while it is written, and its state."""

from collections.abc import Sequence
from dataclasses import dataclass

from generation.generation import NewToken
from generation.sampling import Sampling, TextState
from generation.slots import Slot
from generation.writer import Piece, RowText
from tokenizer.tokenizer import Tokenizer

NOT_FINITE = "not_finite"


@dataclass(frozen=True, eq=False)
class Request:
    """A text to be written."""

    prompt: Sequence[int]
    sampling: Sampling
    end_ids: frozenset[int]
    """ids that end the text and are not part of it"""
    stops: Sequence[str] = ()
    """texts that end it and are not part of it"""
    sample: int = 0
    """number of the random draws, among those of the same prompt and seed"""
    n_likely: int | None = None
    """give log-probabilities, and those of this many most likely ids; None: none"""
    score_prompt: bool = False
    """give the same for the prompt's ids"""
    deadline: float = float("inf")
    """when to stop, on the monotonic clock"""


@dataclass(frozen=True)
class PromptRead:
    """The prompt was read; its ids with their log-probabilities if these were asked for."""

    tokens: tuple[NewToken, ...]
    cached: int
    """ids that were in the cache already"""


@dataclass(frozen=True)
class End:
    """No more pieces follow."""

    reason: str
    """<eos>, max_new_tokens, context, time, not_finite, or a stop text in quotes"""
    tokens: int
    """ids that were written, those of a stop text among them"""


Event = PromptRead | Piece | End


class Text:
    """A text that has a slot: its first `n_read` ids are in the cache."""

    def __init__(
        self, request: Request, tokenizer: Tokenizer, ids: list[int], shift: int, room: int
    ):
        self.request, self.ids, self.shift, self.room = request, ids, shift, room
        self.slot: Slot | None = None
        self.n_read = self.cached = 0
        self.n_prompt = len(ids)
        self.state = TextState(request.prompt, request.sampling, request.sample)
        self.text = RowText(0, tokenizer, request.prompt, request.stops)
        self.scores: list[NewToken] = []
        self.written = 0

    @property
    def unread(self) -> int:
        """Ids that are known and not in the cache; one, once the prompt was read."""
        return len(self.ids) - self.n_read

    def position(self, place: int) -> int:
        """The position in the context of an id."""
        return max(0, place - self.shift)
