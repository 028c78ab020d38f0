"""Tokenizer and chat template of the model that post-training starts from."""

from pathlib import Path

import yaml

from chat.template import ChatTemplate, find_template
from common.errors import UserError
from corpus.config import DataConfig
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
        UserError: no vocabulary stands there, or the template does not fit it.
    """
    folder = init_from and base_folder(Path(init_from))
    if not folder:
        tokenizer = tokenizer_for(config, data)
        return tokenizer, ChatTemplate.for_tokenizer(tokenizer, data.template)
    if not (folder / MODEL_NAME).is_file():
        raise UserError(
            f"train.init_from: {folder} holds no {MODEL_NAME}; name a run directory or an export "
            "of one"
        )
    tokenizer = load_tokenizer(_kind(folder, config), folder)
    template = find_template(folder, tokenizer) if data.template == "auto" else None
    return tokenizer, template or ChatTemplate.for_tokenizer(tokenizer, data.template)


def base_folder(path: Path) -> Path:
    """The folder of the tokenizer: a run directory, also for one of its checkpoints, or a model's.

    Raises:
        UserError: it does not exist.
    """
    if not path.exists():
        raise UserError(f"train.init_from: {path} does not exist; train the base model first")
    folder = path if path.is_dir() else path.parent
    for candidate in (folder, folder.parent, folder.parent.parent):
        if (candidate / RECIPE_NAME).is_file():
            return candidate
    return folder


def _kind(folder: Path, config: TokenizerConfig) -> str:
    """The kind of tokenizer that a run's recipe names; that of this recipe for other folders."""
    path = folder / RECIPE_NAME
    if not path.is_file():
        return config.kind
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))["tokenizer"]["kind"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); copy the run again") from error
