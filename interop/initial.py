"""Initial weights of a new run, fitted from another model: `train.init_from`, `train.init_reset`.

Rows of a new vocabulary: none are kept (`embeddings`), or those of pieces that both vocabularies
spell alike are, and the others start as the mean row (`shared`), which keeps the scores of new
pieces small at first (Hewitt, "Initializing New Word Embeddings for Pretrained Language Models",
2021).
"""

from dataclasses import replace

import numpy as np

from common.errors import UserError
from corpus.hub import local_model
from interop.names import parameter_shapes
from interop.registry import Weights
from interop.source import Source, open_source
from interop.spelling import shared_ids, spelling
from model.config import ModelConfig
from model.rope import plainly_stated
from recipe import Recipe
from runs.run import RECIPE, Run
from tokenizer.tokenizer import Tokenizer
from training.initial import InitialWeights

TABLES = ("embedding", "output")
SHAPE_FIELDS = ("dim", "n_layers", "n_heads", "n_kv_heads", "hidden_dim", "attention_bias")
OWN_FIELDS = ("max_seq_len", "rope_scaling", "rope_factor", "rope_original_len", "dropout")
OTHER_FIELDS = ("rope_theta", "norm_eps", "tie_embeddings")


def read_initial(recipe: Recipe, tokenizer: Tokenizer) -> InitialWeights:
    """The weights that a recipe's `train.init_from` names, fitted to its model and tokenizer.

    Raises:
        UserError: the model is damaged, or the recipe asks for another shape or vocabulary.
    """
    source, reset = open_source(local_model(recipe.train.init_from)), recipe.train.init_reset
    if not recipe.model.value_head:
        source.weights.pop("value_head", None)
    check_fields(source, recipe.model, reset)
    lines = [
        f"initial weights: {source.path}, {source.config.n_params():,} parameters, vocabulary "
        f"{source.config.vocab_size:,}"
    ]
    if source.config.max_seq_len < recipe.model.max_seq_len:
        lines.append(
            f"it was trained on contexts of {source.config.max_seq_len} tokens, shorter than "
            f"model.max_seq_len {recipe.model.max_seq_len}"
        )
    blocks = {name: value for name, value in source.weights.items() if name not in TABLES}
    tables = {name: source.weights[name] for name in TABLES if name in source.weights}
    if reset == "embeddings":
        lines.append(f"not loaded: {', '.join(tables)}; the tables are drawn anew")
        return InitialWeights(blocks, lines)
    known = source.spelling()
    if reset == "shared":
        tables, line = carry_over(source, tables, known, recipe.model, tokenizer)
        return InitialWeights(blocks | tables, [*lines, line])
    line = check_vocabulary(source, known, recipe.model, tokenizer)
    # What an adapter is trained on holds no value head.
    checkpoint = None if source.config.value_head else source.checkpoint
    return InitialWeights(blocks | tables, [*lines, line], checkpoint)


def with_base_shape(recipe: Recipe) -> Recipe:
    """The recipe with the shape of the model that `train.init_from` names.

    The context and dropout stay the recipe's, and so does a scaling of the rotary angles; a model
    that is scaled already stays so. Documents are kept apart in any case: several dialogues stand
    in a row. A run that has begun knows its shape.

    Raises:
        UserError: the model is damaged, or its context is shorter than the recipe's and not scaled.
    """
    begun = (recipe.run_dir / RECIPE).is_file()
    base = Run.open(recipe.run_dir).recipe.model if begun else base_config(recipe)
    if recipe.model.rope_scaling == "none":  # a scaled model stays what it is
        base = plainly_stated(base)
        own_fields = [name for name in OWN_FIELDS if not name.startswith("rope_")]
    else:
        own_fields = OWN_FIELDS
    own = {name: getattr(recipe.model, name) for name in own_fields}
    own["value_head"] = recipe.objective.value_head
    return replace(recipe, model=replace(base, **own, document_mask=True))


def base_config(recipe: Recipe) -> ModelConfig:
    """The shape of the model that a recipe trains further.

    Raises:
        UserError: as `with_base_shape`.
    """
    source = open_source(local_model(recipe.train.init_from))
    known, wanted = source.config.max_seq_len, recipe.model.max_seq_len
    if wanted > known and recipe.model.rope_scaling == "none":
        raise UserError(
            f"model.max_seq_len is {wanted}, but {source.path} was trained on contexts of {known} "
            "tokens; lower it, or set model.rope_scaling"
        )
    return source.config


def check_fields(source: Source, model: ModelConfig, reset: str) -> None:
    """Make sure that all but the tables fits the recipe's model.

    Raises:
        UserError: names the fields to change, and the first tensor that differs.
    """
    # Without its tables a model does not care whether they are tied.
    names = SHAPE_FIELDS + (OTHER_FIELDS[:-1] if reset == "embeddings" else OTHER_FIELDS)
    if source.config.rope_scaling != "none" and model.rope_scaling == "none":
        names += ("rope_scaling", "rope_factor")
    wrong = [name for name in names if getattr(source.config, name) != getattr(model, name)]
    if not wrong:
        return
    settings = ", ".join(f"model.{name} {_option(source.config, name)}" for name in wrong)
    same_rows = replace(source.config, vocab_size=model.vocab_size)
    found, wanted = parameter_shapes(same_rows), parameter_shapes(model)
    tensor = ""
    for name in wanted:
        if found.get(name) != wanted[name]:
            there = f"has shape {found[name]}" if name in found else "is missing"
            tensor = f"its tensor {name} {there}, the recipe's model wants {wanted[name]}; "
            break
    raise UserError(f"{source.path} does not fit the recipe: {tensor}set {settings}")


def check_vocabulary(
    source: Source, known: dict[int, bytes] | None, model: ModelConfig, tokenizer: Tokenizer
) -> str:
    """Make sure that ids mean the same in both vocabularies, as far as that is known.

    Raises:
        UserError: they do not; `train.init_reset` is named.
    """
    rows, wanted = source.config.padded_vocab_size, model.padded_vocab_size
    remedy = "set train.init_reset to shared or embeddings, or take that model's tokenizer"
    if rows != wanted:
        raise UserError(
            f"{source.path} does not fit the recipe: its tensor embedding has shape "
            f"{(rows, model.dim)}, the recipe's model wants {(wanted, model.dim)}, because the "
            f"vocabularies differ (model.vocab_size {source.config.vocab_size} and "
            f"{model.vocab_size}); {remedy}"
        )
    if known is None:
        return "all tensors are loaded; it names no vocabulary, so ids could not be compared"
    ours = spelling(tokenizer)
    other = [i for i in sorted(ours) if known.get(i) != ours[i]]
    if other:
        raise UserError(
            f"{source.path} does not fit the recipe: id {other[0]} of its vocabulary is "
            f"{known.get(other[0], b'').decode(errors='replace')!r}, of {tokenizer.model_file} "
            f"{ours[other[0]].decode(errors='replace')!r}; {remedy}"
        )
    return "all tensors are loaded; the vocabularies are the same"


def carry_over(
    source: Source,
    tables: Weights,
    known: dict[int, bytes] | None,
    model: ModelConfig,
    tokenizer: Tokenizer,
) -> tuple[Weights, str]:
    """Tables for a new vocabulary: rows of shared pieces as they are, the others their mean.

    Raises:
        UserError: the source does not say what its ids stand for.
    """
    if known is None:
        raise UserError(
            f"{source.path} has no vocabulary to share; put its tokenizer.json or tokenizer.model "
            "beside it, or set train.init_reset embeddings"
        )
    # Rows without a piece only pad the table.
    known = {i: text for i, text in known.items() if i < source.config.vocab_size}
    pairs = shared_ids(spelling(tokenizer), known)
    here, there = np.array([*pairs.keys()], int), np.array([*pairs.values()], int)
    new = {}
    for name, table in tables.items():
        mean = table[sorted(known)].mean(0, dtype=np.float64).astype(np.float32)
        new[name] = np.tile(mean, (model.padded_vocab_size, 1))
        new[name][here] = table[there]
    return new, (
        f"{', '.join(new)}: {len(pairs):,} of {model.padded_vocab_size:,} rows are carried over, "
        f"the others start as the mean; {len(known) - len(set(pairs.values())):,} old rows are "
        "not loaded"
    )


def _option(config: ModelConfig, name: str) -> str:
    value = getattr(config, name)
    return str(value).lower() if isinstance(value, bool) else f"{value}"
