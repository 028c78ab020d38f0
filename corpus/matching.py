"""The files that a path or pattern of the recipe stands for."""

import glob
from collections import Counter
from pathlib import Path

from common.errors import UserError


def matching_files(pattern: str) -> list[Path]:
    """The files that match, in order of their names, each once.

    The pattern may hold `*`, `?`, `[...]`, and `**` for folders of any depth. `**` enters no
    symbolic link to a folder, so a loop of links ends; hidden files are left out unless the
    pattern names them.

    A name that is there is no pattern, whatever brackets it has, nor are folders on the way.

    Raises:
        UserError: the pattern is not valid, or is the name of a folder.
    """
    path = Path(pattern)
    if path.is_file() or not path.name:
        return [path] if path.is_file() else []
    if path.is_dir():
        suffixes = Counter(file.suffix for file in path.rglob("*.*") if file.is_file())
        kind = next(iter(dict(suffixes.most_common(1))), "")
        raise UserError(
            f"data.sources: {pattern} is a folder; name its files, such as {path / f'*{kind}'}, or "
            f"{path / '**' / f'*{kind}'} for those of its folders as well"
        )
    if path.name == "**":
        path /= "*"
    path = _with_literal_names(path)
    try:
        found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    except ValueError as error:
        raise UserError(f"data.sources: path {pattern!r} is not valid ({error})") from error
    files: dict[Path, Path] = {}
    for file in found:
        hidden = any(part.startswith(".") and part not in path.parts for part in file.parts)
        if file.is_file() and not hidden:
            files.setdefault(file.resolve(), file)
    return list(files.values())


def _with_literal_names(path: Path) -> Path:
    """The pattern with the names of folders that are there escaped, up to the first that is not."""
    there, escaped = Path(path.anchor), Path(path.anchor)
    for part in path.relative_to(path.anchor).parts:
        there /= part
        escaped /= glob.escape(part) if there.exists() else part
    return escaped
