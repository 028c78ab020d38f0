"""Vocabularies made by other rules than data_process.py's."""

import io
from pathlib import Path

import sentencepiece

from tests.interop.cases import corpus_texts
from tokenizer.tokenizer import Tokenizer, load_tokenizer

RULES = {
    "vocab_size": 600,
    "model_type": "bpe",
    "byte_fallback": True,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "required_chars": "\u2581",  # the space, rare in this corpus
    "minloglevel": 2,
}


def trained(folder: Path, **options) -> Tokenizer:
    """A vocabulary of 600 ids by SentencePiece's own rules, but for `options`."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus_texts()), model_writer=model, **RULES | options
    )
    (folder / "other.model").write_bytes(model.getvalue())
    return load_tokenizer("sentencepiece", folder / "other.model")
