"""Tokenizer and chat template of the model that post-training starts from."""

from pathlib import Path
from typing import Any

import yaml

from chat.template import ChatTemplate, find_template
from common.errors import UserError
from corpus.config import DataConfig
from corpus.hub import local_model
from corpus.vocabulary import tokenizer_for
from tokenizer.config import TokenizerConfig
from tokenizer.tokenizer import MODEL_NAME, Tokenizer, load_tokenizer

RECIPE_NAME = "recipe.yaml"


def base_tokenizer(
    init_from: str | None, config: TokenizerConfig, data: DataConfig
) -> tuple[Tokenizer, ChatTemplate]:
    """Tokenizer and template of the model that `train.init_from` names.

    Without one they are those of the recipe: `tokenizer.path`, or a vocabulary in `data.dir`.

    Raises:
        UserError: no vocabulary stands there, the template does not fit it, or a file that was
            pretrained on is parted otherwise.
    """
    folder = init_from and base_folder(local_model(init_from))
    if not folder:
        tokenizer = tokenizer_for(config, data)
        return tokenizer, ChatTemplate.for_tokenizer(tokenizer, data.template)
    if not (folder / MODEL_NAME).is_file():
        raise UserError(
            f"train.init_from: {folder} holds no {MODEL_NAME}; name a run directory or an export "
            "of one"
        )
    recipe = _read_recipe(folder)
    kind = recipe.get("tokenizer", {}).get("kind", config.kind)
    tokenizer = load_tokenizer(kind, folder)
    _check_held_out(recipe, folder, data)
    template = find_template(folder, tokenizer) if data.template == "auto" else None
    return tokenizer, template or ChatTemplate.for_tokenizer(tokenizer, data.template)


def base_folder(path: Path) -> Path:
    """The folder of the tokenizer: an export's, or the run directory, also for what is in it.

    Raises:
        UserError: it does not exist.
    """
    if not path.exists():
        raise UserError(f"train.init_from: {path} does not exist; train the base model first")
    folder = path if path.is_dir() else path.parent
    for candidate in (folder, folder.parent, folder.parent.parent):
        if (candidate / MODEL_NAME).is_file():
            return candidate
    return folder


def _read_recipe(folder: Path) -> dict[str, Any]:
    """The sections of a run's recipe; empty for a folder that is no run."""
    path = folder / RECIPE_NAME
    if not path.is_file():
        return {}
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged ({error}); copy the run again") from error
    if not isinstance(recipe, dict):
        raise UserError(f"{path} is damaged; copy the run again")
    return recipe


def _check_held_out(recipe: dict[str, Any], folder: Path, data: DataConfig) -> None:
    """Make sure that what was held out of pretraining is held out again."""
    past = recipe.get("data", {})
    known = {source["path"] for source in past.get("sources", [])}
    fraction = past.get("val_fraction", data.val_fraction)
    for source in data.sources:
        if source.path in known and fraction != data.val_fraction:
            raise UserError(
                f"data.val_fraction is {data.val_fraction}, but {folder} was pretrained on "
                f"{source.path} with {fraction}; set it to {fraction}, so that what was held out "
                "there is held out here"
            )
