"""How each model hub is asked: through its own library, which resumes what was begun."""

import hashlib
import json
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
    """None where the hub does not give it"""


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
        except UserError:
            raise
        except Exception as error:  # each library has families of its own
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"cannot fetch {what} of {self.name} ({type(error).__name__}: {reason}); check "
                "name, revision and network, then run again: what was fetched is kept"
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


class ModelScope(HubClient):
    """ModelScope, or the endpoint that its own environment variables name.

    It lists no commits. A hash over its list of files, with their SHA-256, takes the place of one.
    """

    def listing(self, revision: str | None) -> tuple[str, list[RemoteFile]]:
        """See `HubClient`."""
        revision = revision or "master"
        with self._errors("the list of files"):
            entries = self._api().list_repo_files(self.name, self.kind, revision=revision)
            files = [RemoteFile(e.path, e.size, e.sha256) for e in entries if not e.is_dir]
        known = sorted((file.path, file.size, file.sha256) for file in files)
        digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()
        return f"{revision}:{digest[:40]}", files

    def download(self, commit: str, path: str, folder: Path) -> None:
        """See `HubClient`."""
        revision = commit.rsplit(":", 1)[0]
        with self._errors(path):
            self._api().download_file(
                self.name, self.kind, path, revision=revision, local_dir=folder, force=True
            )

    @staticmethod
    def _api():
        try:
            from modelscope_hub import HubApi, HubConfig
        except ImportError as error:
            raise UserError(
                "modelscope:// needs the package modelscope-hub; run: "
                "pip install -r requirements-extra.txt"
            ) from error
        return HubApi(HubConfig())


CLIENTS: dict[str, type[HubClient]] = {"hf": HuggingFace, "modelscope": ModelScope}
