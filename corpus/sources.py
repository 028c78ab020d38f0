"""The raw files of the sources."""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import UserError
from corpus.config import DataConfig, SourceConfig
from corpus.hub import fetch_files, is_address
from corpus.manifest import FORMAT_VERSION
from corpus.matching import matching_files
from corpus.registry import Reader, find_reader
from tokenizer.config import TokenizerConfig


@dataclass(frozen=True)
class Source:
    """A source of the recipe with its reader and its files."""

    config: SourceConfig
    reader: Reader
    paths: list[Path]
    commit: str = ""
    """of the hub that the files were fetched from"""

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"{self.config.reader} {self.config.path}"

    def groups(self, n_bytes: int) -> Iterator[tuple[list[Path], int]]:
        """Its files in groups that are read together, each of about `n_bytes` or one large file.

        With each group comes its size.
        """
        group, size = [], 0
        for path in self.paths:
            if group and size + size_of(path) > n_bytes:
                yield group, size
                group, size = [], 0
            group.append(path)
            size += size_of(path)
        yield group, size


def find_sources(config: DataConfig) -> list[Source]:
    """The sources of a recipe with their files, fetched first where the reader knows how.

    Raises:
        UserError: no source is listed, a reader is unknown, or a source has no file.
    """
    if not config.sources:
        raise UserError("data.sources is empty; list at least one corpus to read")
    return [_find_source(source, config.kind) for source in config.sources]


def commits_of(sources: Iterable[Source]) -> dict[str, str]:
    """The commits of the sources that were fetched from a hub, by path."""
    return {source.config.path: source.commit for source in sources if source.commit}


def inputs_key(config: TokenizerConfig, data: DataConfig, sources: Iterable[Source], *more) -> str:
    """Hash of everything that the outcome depends on: recipe sections, raw files, `more`."""
    files = [state for source in sources for state in _states(source)]
    # Who does the work changes nothing, nor what is done with the files.
    data = dataclasses.replace(data, workers=1, executor="process", part="0/1")
    data = dataclasses.replace(data, augment_delete=0.0, augment_repeat=0.0)
    return _hash(FORMAT_VERSION, repr(config), repr(data), files, more)


def stage_keys(
    config: TokenizerConfig,
    data: DataConfig,
    sources: Sequence[Source],
    fingerprints: tuple[str | None, str | None],
    shard_bytes: int,
) -> dict[str, str]:
    """Hash of what each stage depends on, down to the program; see `Workspace`.

    `fingerprints` are those of the given tokenizer and of what scores documents, if there are any.
    """
    (fingerprint, scorer), keys, code = fingerprints, {}, _code_hash()
    for index, source in enumerate(sources):
        options = (source.config.reader, source.config.field, source.config.encoding)
        given = fingerprint if source.reader.tokens else None
        if source.reader.examples:
            given = data.val_fraction  # such a reader may split by itself
        keys[f"read:{index}"] = _hash(code, options, _states(source), given, shard_bytes)
        keys[f"clean:{index}"] = _hash(keys[f"read:{index}"], data.cleaning, data.dedup)
    chosen = (data.val_fraction, data.seed)
    keys["dedup"] = _hash(list(keys.values()), data.dedup, data.dedup_threshold)
    keys |= dict.fromkeys(("exact", "pairs", "compared"), keys["dedup"])
    keys["characters"] = _hash(keys["dedup"], chosen, config.sample_bytes)
    kept = keys["dedup"]
    if data.filter:
        # Scores are what takes long: they depend on the text of their source and the run alone.
        scores = {f"score:{i}": _hash(keys[f"clean:{i}"], scorer) for i in range(len(sources))}
        kept = _hash(kept, list(scores.values()), repr(data.filter), data.val_fraction)
        keys |= scores | {"filter": kept}
    keys["vocabulary"] = _hash(kept, chosen, repr(config))
    weights = [source.config.weight for source in sources]
    keys["tokens"] = _hash(keys["vocabulary"], fingerprint, weights, data.kind)
    keys["pack"] = _hash(keys["tokens"])
    keys["write"] = _hash(keys["pack"], data.shard_tokens)
    return keys


def _states(source: Source) -> list[tuple[str, int, int]]:
    """Name, size and time of change of the files of a source."""
    states = []
    for path in source.paths:
        with contextlib.suppress(OSError):  # it has vanished, which its reader will report
            status = path.stat()
            states.append((str(path), status.st_size, status.st_mtime_ns))
    return states


def _code_hash() -> str:
    """Hash of the program that does the work: what another version made is not used."""
    files = (
        file
        for room in ("chat", "corpus", "tokenizer")
        for kind in ("*.py", "*.tsv")
        for file in sorted((Path(__file__).parents[1] / room).rglob(kind))
    )
    return _hash([file.read_text(encoding="utf-8") for file in files])


def _hash(*known: Any) -> str:
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def size_of(path: Path) -> int:
    """Bytes in a file; 0 if it has vanished."""
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _find_source(config: SourceConfig, kind: str) -> Source:
    reader = find_reader(config.reader)
    if reader.kind != kind:
        raise UserError(
            f"data.sources: reader {config.reader} gives {reader.kind}, but data.kind is {kind}; "
            "change one of the two"
        )
    if is_address(config.path):
        return Source(config, reader, *fetch_files(config.path))
    if reader.fetch and not Path(config.path).exists():
        reader.fetch(Path(config.path))
    files = matching_files(config.path)
    if not files:
        raise UserError(
            f"data.sources: no file matches {config.path} (reader {config.reader}); "
            "check the path, which is taken from the folder where the command runs"
        )
    return Source(config, reader, files)
