"""Files of model hubs: named in a recipe, fetched once, resumed, checked, kept under data/raw.

    hf://datasets/OWNER/NAME/**.parquet         files of a data set, for `data.sources`
    hf://OWNER/NAME                             a model, for `train.init_from`
    modelscope://OWNER/NAME/...                 the same from ModelScope

`OWNER/NAME@REVISION` names a branch, tag or commit. The commit that was fetched first is noted
beside the files, and stays: who wants a newer one deletes the folder.
"""

import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from common.files import read_json, sha256_file, write_json
from common.lock import exclusive
from corpus.hub_clients import CLIENTS, HubClient, RemoteFile

RAW = Path("data") / "raw"
ADDRESS = re.compile(
    r"(?P<hub>\w+)://(?P<datasets>datasets/)?(?P<name>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w./-]+?))?"
    r"(/(?P<pattern>[^@]*))?"
)
STATE = "revision.json"
PATIENCE_SECONDS = 24 * 3600.0
# What a model is loaded from; code, pictures and weights in other formats are not fetched.
MODEL_FILES = ("*.json", "*.safetensors", "tokenizer.model", "*.jinja")


@dataclass(frozen=True)
class HubAddress:
    """What an address such as `hf://datasets/OWNER/NAME/**.parquet` names."""

    hub: str
    kind: str
    """dataset or model"""
    name: str
    """OWNER/NAME"""
    revision: str | None
    pattern: str
    """of the files; empty: all"""

    @property
    def folder(self) -> Path:
        """Where the files are kept."""
        return RAW / self.hub / f"{self.kind}s" / self.name.replace("/", "--")


def is_address(path: str) -> bool:
    """Whether a path of the recipe names files of a hub."""
    return "://" in path


def parse_address(path: str, kind: str) -> HubAddress:
    """Take an address apart; `kind` is what the field holds, dataset or model.

    Raises:
        UserError: it is no address of a known hub.
    """
    found = ADDRESS.fullmatch(path)
    if not found or found["hub"] not in CLIENTS:
        known = " or ".join(f"{hub}://" for hub in CLIENTS)
        middle = "datasets/" if kind == "dataset" else ""
        raise UserError(
            f"{path} names no files that can be fetched; write {known} and then "
            f"{middle}OWNER/NAME, with @REVISION and a pattern such as /**.parquet if you like"
        )
    if found["datasets"]:
        kind = "dataset"
    elif kind == "dataset" and found["hub"] == "hf":
        raise UserError(f"{path} names a model; a data set is written hf://datasets/OWNER/NAME")
    return HubAddress(found["hub"], kind, found["name"], found["revision"], found["pattern"] or "")


def fetch_files(path: str) -> tuple[list[Path], str]:
    """The files that an address of a data set names, fetched first, and their commit.

    Raises:
        UserError: there is no such data set or file, the hub cannot be reached, or a file does
            not come as the hub lists it.
    """
    address = parse_address(path, "dataset")
    pattern = address.pattern or "**"
    return _fetch(address, lambda file: matches(file.path, pattern))


def local_model(path: str) -> Path:
    """The path that `train.init_from` names; a model of a hub is fetched first.

    Raises:
        UserError: as `fetch_files`.
    """
    if not is_address(path):
        return Path(path)
    address = parse_address(path, "model")
    wanted = [address.pattern] if address.pattern else MODEL_FILES

    def is_wanted(file: RemoteFile) -> bool:
        return any(matches(file.path, pattern) for pattern in wanted)

    files, _ = _fetch(address, is_wanted)
    return files[0] if len(files) == 1 and address.pattern else address.folder


def matches(path: str, pattern: str) -> bool:
    """Whether a path in a repository matches: `*` within a folder, `**` over folders as well."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    special = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    regex = "".join(special.get(part) or _classes(part) for part in parts)
    return re.fullmatch(regex, path) is not None


def _classes(part: str) -> str:
    """A piece of a pattern without stars, in which [a-z] is a class."""
    return fnmatch.translate(part).removeprefix("(?s:").removesuffix(r")\Z")


def _fetch(address: HubAddress, is_wanted) -> tuple[list[Path], str]:
    folder = address.folder
    folder.mkdir(parents=True, exist_ok=True)
    taken = f"another process has been fetching into {folder} for a day; end it and run again"
    with exclusive(folder / ".lock", taken, PATIENCE_SECONDS):
        client = CLIENTS[address.hub](address.name, address.kind)
        commit, files = _listing(address, client)
        chosen = [file for file in files if is_wanted(file)]
        if not chosen:
            held = ", ".join(file.path for file in files[:5]) or "nothing"
            raise UserError(
                f"{address.hub}://{address.name} has no file that matches "
                f"{address.pattern or 'what a model is loaded from'}; it holds {held} ..."
            )
        for number, file in enumerate(chosen, 1):
            _fetch_one(client, commit, file, folder, f"{number} of {len(chosen)}")
    return [folder / file.path for file in chosen], commit


def _listing(address: HubAddress, client: HubClient) -> tuple[str, list[RemoteFile]]:
    """Commit and files as they were noted when the first was fetched, or as the hub has them."""
    state = address.folder / STATE
    if state.is_file():
        noted = read_json(state)
        if address.revision in (None, noted["revision"], noted["commit"]):
            return noted["commit"], [RemoteFile(**file) for file in noted["files"]]
        raise UserError(
            f"{address.folder} holds revision {noted['revision'] or noted['commit']} of "
            f"{address.name}, and the recipe asks for {address.revision}; delete that folder to "
            "fetch the other one"
        )
    commit, files = client.listing(address.revision)
    files = sorted(files, key=lambda file: file.path)
    noted = {"revision": address.revision, "commit": commit, "files": [vars(f) for f in files]}
    write_json(state, noted)
    return commit, files


def _fetch_one(
    client: HubClient, commit: str, file: RemoteFile, folder: Path, progress: str
) -> None:
    """Fetch a file unless it is there; what was begun before is gone on with."""
    target = folder / file.path
    if not target.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{client.name} lists a file {file.path}, outside of its folder")
    if target.is_file() and target.stat().st_size == file.size:
        return
    print(f"fetching {client.name}: {file.path}, {file.size:,} bytes, {progress}", flush=True)
    client.download(commit, file.path, folder)
    size = target.stat().st_size if target.is_file() else 0
    if size != file.size or (file.sha256 and sha256_file(target) != file.sha256):
        target.unlink(missing_ok=True)
        raise UserError(
            f"{file.path} of {client.name} is not as the hub lists it ({file.size:,} bytes, "
            "SHA-256 checked); it was deleted, so run again"
        )
