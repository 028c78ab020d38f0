"""Whole completions of many prompts at once, with the log-probability of each id."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from generation.decoding import Decoder
from generation.generation import Generation
from generation.sampling import Sampling
from tokenizer.tokenizer import Tokenizer


@dataclass
class Completion:
    """What a model wrote after a prompt."""

    prompt: list[int]
    ids: list[int] = field(default_factory=list)
    """new ids, with the one that ended the text"""
    log_probs: list[float] = field(default_factory=list)
    """of each new id in nats, as the model has it before any sampling setting; empty: not asked"""
    ended: bool = False
    """whether the model ended it; false where it was cut by the limit of ids or the context"""

    def text(self, tokenizer: Tokenizer) -> str:
        """The text without the end, and without space around it."""
        return tokenizer.decode(self.ids[:-1] if self.ended else self.ids).strip()


def complete(
    decoder: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    end_ids: Collection[int],
    samples: Sequence[int],
    rows: int = 32,
    log_probs: bool = False,
) -> list[Completion]:
    """Complete prompts, `rows` side by side; `samples` numbers the random stream of each.

    Raises:
        ValueError: a prompt leaves no room in the context, or the logits are not finite.
    """
    found = [Completion(list(prompt)) for prompt in prompts]
    for begin in range(0, len(found), rows):
        part = found[begin : begin + rows]
        written = Generation(
            decoder,
            [completion.prompt for completion in part],
            sampling,
            tokenizer.eos_id,
            end_ids,
            tokenizer.vocab_size,
            samples[begin : begin + rows],
            n_likely=0 if log_probs else None,
            yield_ends=True,
        )
        for new in written:
            completion = part[new.row]
            completion.ids.append(new.token)
            completion.ended = new.ends
            if log_probs:
                completion.log_probs.append(new.log_prob)
    return found
