"""Train a SentencePiece BPE vocabulary on a stream of texts."""

import collections
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import sentencepiece

from common.errors import UserError
from common.files import atomic_open
from tokenizer.config import TokenizerConfig
from tokenizer.round_trip import check_round_trip, with_space
from tokenizer.sample import sample_texts

# Longer lines are cut into pieces: SentencePiece would skip them whole.
MAX_LINE_CHARS = 200
COVERAGE = 0.9995
"""share of the text whose characters are pieces; the rarest others are written as bytes"""
N_SPECIAL = 256 + 3
"""pieces that are no text: one for each byte, <unk>, <s>, </s>"""


def train_sentencepiece(
    texts: Iterable[str],
    vocab_size: int,
    path: str | Path,
    sample_bytes: int = TokenizerConfig.sample_bytes,
    reserved: Sequence[str] = (),
) -> None:
    """Train `vocab_size` BPE pieces on `texts` and write the model file `path`, atomically.

    Of more than `sample_bytes` of text it takes about that much, chosen by hash: memory and time
    are bounded (50 MB: 0.8 GB and half a minute), and the order of the texts does not matter.

    Decoding gives back the encoded text to the character (only U+2581, which stands for the
    space inside SentencePiece, comes back as a space): no normalisation, spaces kept, characters
    outside the vocabulary as UTF-8 bytes. This is tried on a thousand odd lines before the file is
    written. There is no dummy space before a text: Chinese words
    do not begin with one, and ids decoded on their own keep their leading space. The same texts
    give the same file. `reserved` pieces are the last ids: no text is ever turned into one.

    Raises:
        UserError: the texts are too few for so many pieces, or have more different characters.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_lines(sample_texts(texts, sample_bytes)),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size - len(reserved),
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            byte_fallback=True,
            split_digits=True,
            character_coverage=COVERAGE,
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=-1,
            max_sentence_length=4 * MAX_LINE_CHARS,
            num_threads=1,  # BPE training gains nothing from more, and the file records the number
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _explain(error, vocab_size, len(reserved)) from error
    content = with_space(model.getvalue())
    check_round_trip(content)
    with atomic_open(path) as file:
        file.write(_with_reserved(content, reserved))


def _with_reserved(content: bytes, reserved: Sequence[str]) -> bytes:
    """The model with pieces that stand for no text, behind all others.

    SentencePiece would put them before the 256 bytes, which llama2.c wants at id 3.
    """
    if not reserved:
        return content
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto.FromString(content)
    for piece in reserved:
        model.pieces.add(piece=piece, type=type(model.pieces[0]).CONTROL, score=0.0)
    model.trainer_spec.control_symbols.extend(reserved)
    model.trainer_spec.vocab_size = len(model.pieces)
    return model.SerializeToString()


def least_pieces(texts: Iterable[str], sample_bytes: int) -> int:
    """Size of the smallest vocabulary that `train_sentencepiece` can make of these texts."""
    counts: collections.Counter[str] = collections.Counter()
    for line in _lines(sample_texts(texts, sample_bytes)):
        counts.update(line)
    wanted = COVERAGE * counts.total()
    ranked = itertools.accumulate(sorted(counts.values(), reverse=True), initial=0)
    return N_SPECIAL + sum(1 for _ in itertools.takewhile(lambda covered: covered < wanted, ranked))


def too_many_characters(vocab_size: int, least: int) -> str:
    """The sentence on a vocabulary that is smaller than the `least` that is possible."""
    return (
        f"the corpus has too many different characters for a vocabulary of {vocab_size} pieces; "
        f"raise tokenizer.vocab_size to {least} at least, better to twice as many"
    )


def _explain(error: RuntimeError, vocab_size: int, n_reserved: int) -> UserError:
    reason = str(error).strip().rsplit("] ", 1)[-1]
    numbers = [int(number) for number in re.findall(r"\d+", reason)]
    if "required_chars" in str(error) and len(numbers) == 2:
        return UserError(too_many_characters(vocab_size, numbers[1] + n_reserved))
    most = f" to {numbers[1] + n_reserved} at most" if len(numbers) == 2 else ""
    return UserError(
        f"the corpus is too small for a vocabulary of {vocab_size} pieces; give more text or "
        f"lower tokenizer.vocab_size{most} ({reason})"
    )


def _lines(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for line in text.splitlines():
            for start in range(0, len(line), MAX_LINE_CHARS):
                yield line[start : start + MAX_LINE_CHARS]
