"""How each model hub is asked: through its own library, which resumes what was begun."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError


@dataclass(frozen=True)
class RemoteFile:
    """A file as a hub lists it."""

    path: str
    size: int
    sha256: str | None = None
    """None where the hub does not tell it"""


class HubClient(ABC):
    """One repository of a hub."""

    def __init__(self, name: str, kind: str):
        """`name` is OWNER/NAME, `kind` dataset or model."""
        self.name = name
        self.kind = kind

    @abstractmethod
    def listing(self, revision: str | None) -> tuple[str, list[RemoteFile]]:
        """The commit that a revision (None: the newest) stands for, and all its files.

        Raises:
            UserError: there is no such repository or revision, or the hub cannot be reached.
        """

    @abstractmethod
    def download(self, commit: str, path: str, folder: Path) -> None:
        """Fetch a file of a commit to the same path in a local folder.

        Raises:
            UserError: it cannot be fetched; what came of it is kept for the next attempt.
        """

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Turn what the library raises into a sentence."""
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:  # those of the libraries are such
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"cannot fetch {what} of {self.name} ({type(error).__name__}: {reason}); check "
                "name, revision and network, then run again: what came is kept"
            ) from error


class HuggingFace(HubClient):
    """The Hugging Face hub, or a mirror of it that HF_ENDPOINT names."""

    def listing(self, revision: str | None) -> tuple[str, list[RemoteFile]]:
        """See `HubClient`."""
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile

        api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        with self._errors("the list of files"):
            commit = api.repo_info(self.name, revision=revision, repo_type=self.kind).sha
            entries = api.list_repo_tree(
                self.name, recursive=True, revision=commit, repo_type=self.kind
            )
            return commit, [
                RemoteFile(entry.path, entry.size, entry.lfs.sha256 if entry.lfs else None)
                for entry in entries
                if isinstance(entry, RepoFile)
            ]

    def download(self, commit: str, path: str, folder: Path) -> None:
        """See `HubClient`."""
        from huggingface_hub import hf_hub_download

        with self._errors(path):
            hf_hub_download(
                self.name,
                path,
                repo_type=self.kind,
                revision=commit,
                local_dir=folder,
                endpoint=os.environ.get("HF_ENDPOINT"),
            )


CLIENTS: dict[str, type[HubClient]] = {"hf": HuggingFace}
