"""A SentencePiece vocabulary as the files that transformers' AutoTokenizer loads, with equal ids.

SentencePiece joins the neighbours whose union is the piece of the highest score (BPE), or takes
the likeliest pieces (unigram, arXiv:1808.06226). The `tokenizers` library does both; it wants the
joins of BPE as a ranked list. `<s>` and `</s>` in a text stay text, as in SentencePiece.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from sentencepiece.sentencepiece_model_pb2 import ModelProto
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as FastTokenizer

from chat.template import ChatTemplate
from common.errors import UserError
from common.files import write_json
from interop.pieces import SPACE, appended_pieces
from tokenizer.tokenizer import Tokenizer

PROBES = (
    "床前明月光，疑是地上霜。举头望明月，低头思故乡。",
    "  two  spaces, three   and a tab\tor\n\n\nlines ",
    "<s>literal</s> <unk> <0x0A> ▁ 1234567890 3.14 ￥ ＡＢＣ",
    "emoji 🐼👨‍👩‍👧🇨🇳 ñ é 한국어 日本語 \u00a0\u3000\u200b𠮷",
    "aaaaaaaaaaa ========= 哈哈哈哈哈哈哈 ......... 0000000",
)


def write_tokenizer(
    tokenizer: Tokenizer, folder: Path, max_length: int, template: ChatTemplate | None = None
) -> None:
    """Write tokenizer.json, tokenizer_config.json and tokenizer.model; with them a chat template.

    Without a template `</s>` in a text stays text. A template needs reserved pieces to be found in
    what it writes, so then they are found in every text; the template itself parts those that
    stand in a message.

    Raises:
        UserError: the vocabulary has no equal there: some text would get other ids.
    """
    model = _parse(tokenizer)
    fast = convert(model)
    fast.encode_special_tokens = True
    for text in PROBES:
        if fast.encode(text, add_special_tokens=False).ids != tokenizer.encode(text):
            raise UserError(
                f"{tokenizer.model_file} cannot be exported: transformers would give {text!r} "
                "other ids; BPE and unigram vocabularies with byte_fallback can"
            )
    if template:
        _append(fast, tokenizer)
    fast.save(str(folder / "tokenizer.json"))
    eos, unk = (model.pieces[i].piece for i in (tokenizer.eos_id, tokenizer.unk_id))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": eos,  # in training a document begins after an <eos>
        "eos_token": eos,
        "unk_token": unk,
        "pad_token": unk,  # not <eos>, which a loss that skips padding would never teach
        "split_special_tokens": template is None,
        "clean_up_tokenization_spaces": False,
        "model_max_length": max_length,
        "padding_side": "left",
    }
    if template:
        settings["chat_template"] = template.jinja()
        template.save(folder)
    write_json(folder / "tokenizer_config.json", settings)
    tokenizer.save(folder)


def convert(model: ModelProto) -> FastTokenizer:
    """The tokenizer of the `tokenizers` library for a SentencePiece model.

    Raises:
        UserError: it is neither BPE nor unigram.
    """
    fast = FastTokenizer(_algorithm(model))
    fast.normalizer = normalizers.Sequence(_normalisation(model))
    if model.trainer_spec.model_type == model.trainer_spec.UNIGRAM:
        fast.pre_tokenizer = _apart(p.piece for p in model.pieces if p.type != p.NORMAL)
    parts = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if model.normalizer_spec.add_dummy_prefix:
        parts.append(decoders.Strip(" ", 1, 0))
    fast.decoder = decoders.Sequence(parts)
    special = [p.piece for p in model.pieces if p.type in (p.CONTROL, p.UNKNOWN)]
    fast.add_special_tokens([AddedToken(piece, normalized=False) for piece in special])
    return fast


def _algorithm(model: ModelProto) -> models.Model:
    spec, pieces = model.trainer_spec, model.pieces
    unknown = next(i for i, p in enumerate(pieces) if p.type == p.UNKNOWN)
    if spec.model_type == spec.UNIGRAM:
        scored = [(p.piece, p.score) for p in pieces]
        return models.Unigram(scored, unk_id=unknown, byte_fallback=spec.byte_fallback)
    if spec.model_type == spec.BPE:
        return models.BPE(
            {p.piece: i for i, p in enumerate(pieces)},
            _joins(model),
            unk_token=pieces[unknown].piece,
            fuse_unk=True,
            byte_fallback=spec.byte_fallback,
        )
    raise UserError("only BPE and unigram vocabularies can be exported to transformers")


def _apart(pieces: Iterable[str]) -> pre_tokenizers.PreTokenizer:
    """Cuts a text after the first character of each of these, so that they stay text.

    Unigram of `tokenizers` would take what looks like a control or byte piece for that piece.
    """
    places = (f"(?<={re.escape(piece[0])})(?={re.escape(piece[1:])})" for piece in pieces)
    return pre_tokenizers.Split(Regex("|".join(places)), "isolated")


def _joins(model: ModelProto) -> list[tuple[str, str]]:
    """Every two pieces whose union is a piece, the union of the highest score first."""
    normal = sorted((p for p in model.pieces if p.type == p.NORMAL), key=lambda p: -p.score)
    known = {p.piece for p in normal}
    return [
        (p.piece[:i], p.piece[i:])
        for p in normal
        for i in range(1, len(p.piece))
        if p.piece[:i] in known and p.piece[i:] in known
    ]


def _normalisation(model: ModelProto) -> list[normalizers.Normalizer]:
    """What is done to a text before it is cut, in SentencePiece's order."""
    spec, steps = model.normalizer_spec, []
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        steps.append(normalizers.Replace(Regex(" {2,}"), " "))
        steps.append(normalizers.Replace(Regex("^ | $"), ""))
    if spec.add_dummy_prefix:
        steps.append(normalizers.Prepend(SPACE))
    return [*steps, normalizers.Replace(" ", SPACE)]


def _append(fast: FastTokenizer, tokenizer: Tokenizer) -> None:
    """Name the ids behind those of the model file."""
    appended = appended_pieces(tokenizer)
    fast.add_special_tokens([AddedToken(name, normalized=False) for name in appended.values()])
    for index, name in appended.items():
        assert fast.token_to_id(name) == index, f"{name} has another id"


def _parse(tokenizer: Tokenizer) -> ModelProto:
    model = ModelProto()
    model.ParseFromString(tokenizer.model_file.read_bytes())
    return model
