"""What to expect of a base model, from its size, its training and its held-out loss."""

import math

from corpus.manifest import Manifest
from model.config import ModelConfig
from training.heldout import HeldOutResult

COMPUTE_OPTIMAL = 20
"""Tokens a parameter that use a given amount of computation best (arXiv:2203.15556)."""
USEFUL_EPOCHS = 4
"""Repetitions up to which a text is worth nearly as much as new text (arXiv:2305.16264)."""
HARDLY_LEARNED = 0.8
"""Share of the blind guess's bits above which the text is noise."""

# Upper bound of the parameters, and what base models below it usually can do.
BY_SIZE = (
    (
        30e6,
        "real words, names and punctuation, and clauses in the manner of its sources; the thread "
        "is lost within a sentence or two, and examination scores are at chance level",
    ),
    (
        500e6,
        "fluent sentences and short paragraphs in the manner of its sources; facts in them are "
        "mostly invented, and examination scores are at chance level",
    ),
    (
        math.inf,
        "coherent paragraphs on common subjects; frequent facts are often right, rare ones are "
        "invented",
    ),
)


def blind_bits_per_byte(model: ModelConfig, held_out: HeldOutResult) -> float:
    """Bits a byte of guessing every id with the same probability."""
    return math.log2(model.vocab_size) * held_out.tokens / held_out.text_bytes


def can(model: ModelConfig, held_out: HeldOutResult) -> str:
    """A sentence on the text to expect."""
    if held_out.text_bytes:
        blind = blind_bits_per_byte(model, held_out)
        share = held_out.bits_per_byte / blind
        found = f"it needs {share:.0%} of the {blind:.2f} bits a byte of a blind guess"
        if share > HARDLY_LEARNED:
            return f"It has hardly learned anything yet: {found}. Expect noise."
    else:
        found = "how much it has learned is not known without a manifest"
    size = model.n_params()
    expected = next(text for limit, text in BY_SIZE if size < limit)
    return f"Of {size / 1e6:,.1f} M parameters expect {expected} ({found})."


def limits(model: ModelConfig, tokens: int, epochs: float, manifest: Manifest) -> list[str]:
    """Sentences on what not to expect, and on what would help.

    Args:
        model: its shape.
        tokens: trained on, repetitions included.
        epochs: passes over the training file.
        manifest: of the training file, or None.
    """
    context = f"{model.max_seq_len:,} tokens"
    if manifest:
        characters = model.max_seq_len * manifest.characters / manifest.tokens
        context += f" (about {characters:,.0f} characters)"
    per_parameter = tokens / model.n_params()
    if per_parameter < COMPUTE_OPTIMAL:
        advice = "more training, on more text, would help more than a larger model"
    else:
        advice = "a larger model would now help more than longer training"
    sentences = [
        "It continues text. It has not learned to answer questions or to follow instructions.",
        "Nothing that it states is reliable: names, numbers and dates are combined by likelihood, "
        "not by reasoning or calculation.",
        f"It sees no more than {context} at once.",
        "It repeats itself, more so at low temperature; it can repeat passages of its training "
        "text word for word, and shares that text's prejudices.",
        f"It has read {per_parameter:.1f} tokens a parameter; about {COMPUTE_OPTIMAL} make the "
        f"best of a given computation (arXiv:2203.15556), so {advice}.",
    ]
    if epochs > USEFUL_EPOCHS:
        sentences.append(
            f"It has read its text {epochs:.1f} times; beyond {USEFUL_EPOCHS} times, repetition "
            "teaches little (arXiv:2305.16264)."
        )
    return sentences
