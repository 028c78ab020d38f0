"""Add the pieces of one vocabulary to another: `python -m tokenizer.extend BASE NEW --output OUT`.

The idea of adding pieces of a new language or field to a trained model's vocabulary is that of
Chinese-LLaMA (arXiv:2304.08177).
"""

import argparse
from pathlib import Path

from common.errors import UserError, run_main
from common.files import atomic_open
from tokenizer.tokenizer import load_tokenizer


def extend(base: str | Path, new: str | Path, output: str | Path) -> list[str]:
    """Write `base` with the pieces of `new` that it lacks as `output`, and return these pieces.

    All ids of `base` stay; the new ones follow in the order of `new`. In a BPE vocabulary they
    get lower scores than every piece of `base`: a text is first put together as `base` would,
    then further, so that no text takes more tokens than before. In a unigram vocabulary they
    keep their log-probabilities.

    Raises:
        UserError: a file is no vocabulary, the two are of different types, or `new` brings
            nothing.
    """
    model, source = _load(base), _load(new)
    kind = type(model.trainer_spec).ModelType
    kinds = [kind.Name(each.trainer_spec.model_type).lower() for each in (model, source)]
    if kinds[0] != kinds[1] or kinds[0] not in ("bpe", "unigram"):
        raise UserError(
            f"{base} is of type {kinds[0]} and {new} of type {kinds[1]}; both must be bpe, "
            "as ours and ChatGLM's are, or both unigram"
        )
    known = {piece.piece for piece in model.pieces}
    normal = type(source.pieces[0]).NORMAL
    added = [p for p in source.pieces if p.type == normal and p.piece not in known]
    if not added:
        raise UserError(f"{base} has all pieces of {new}; there is nothing to add")
    lowest = min(piece.score for piece in model.pieces)
    for number, piece in enumerate(added, start=1):
        score = lowest - number if kinds[0] == "bpe" else piece.score
        model.pieces.add(piece=piece.piece, type=normal, score=score)
    model.trainer_spec.vocab_size = len(model.pieces)
    with atomic_open(output) as file:
        file.write(model.SerializeToString())
    return [piece.piece for piece in added]


def _load(path: str | Path):
    """The vocabulary in the form that can be edited."""
    from sentencepiece import sentencepiece_model_pb2

    model_file = load_tokenizer("sentencepiece", path).model_file
    return sentencepiece_model_pb2.ModelProto.FromString(model_file.read_bytes())


def main() -> int:
    """Extend a vocabulary and say what came of it."""
    parser = argparse.ArgumentParser(prog="tokenizer.extend", description=__doc__)
    parser.add_argument("base", metavar="BASE.model", help="the vocabulary whose ids must stay")
    parser.add_argument("new", metavar="NEW.model", help="a vocabulary trained on the new text")
    parser.add_argument("--output", required=True, metavar="OUT.model", help="the file to write")
    options = parser.parse_args()
    added = extend(options.base, options.new, options.output)
    size = load_tokenizer("sentencepiece", options.output).vocab_size
    print(
        f"wrote {options.output}: {size:,} pieces, {len(added):,} of them new "
        f"(ids {size - len(added)} to {size - 1})"
    )
    return 0


if __name__ == "__main__":
    run_main(main)
