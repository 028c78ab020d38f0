"""ChatGLM's tokenizer.model from the model hub: by name, checked, kept."""

from pathlib import Path

from common.errors import UserError
from common.files import sha256_file

# Both models share one vocabulary file.
CHATGLM_SHA256 = "e7dc4c393423b76e4373e5157ddc34803a0189ba96b21ddbb40269d31468a6f2"
HUB_NAMES = ("THUDM/chatglm2-6b", "THUDM/chatglm3-6b")


def is_hub_name(path: str | Path) -> bool:
    """Whether `path` names a hub model and no local file or folder is in its way."""
    return str(path) in HUB_NAMES and not Path(path).exists()


def fetch_model(name: str, cache: Path) -> Path:
    """Path of the tokenizer.model of hub model `name`, downloaded into `cache` only once.

    Raises:
        UserError: it cannot be fetched, or what came is not the published file.
    """
    folder = cache / name.split("/")[-1]
    model_file = folder / "tokenizer.model"
    if not model_file.exists():
        _download(name, folder)
    if sha256_file(model_file) != CHATGLM_SHA256:
        raise UserError(
            f"{model_file} is not the published file (its SHA-256 is not {CHATGLM_SHA256}); "
            "delete it and run again"
        )
    return model_file


def _download(name: str, folder: Path) -> None:
    from huggingface_hub import hf_hub_download

    try:
        hf_hub_download(name, "tokenizer.model", local_dir=folder)
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot fetch tokenizer.model of {name} ({type(error).__name__}); without a network, "
            f"put the file at {folder / 'tokenizer.model'} by hand, or set tokenizer.path to it"
        ) from error
