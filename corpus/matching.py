"""The files that a path or pattern of the recipe stands for."""

from pathlib import Path

from common.errors import UserError


def matching_files(pattern: str) -> list[Path]:
    """The files that match, in order of their names, each once.

    The pattern may hold `*`, `?`, `[...]`, and `**` for folders of any depth. `**` enters no
    symbolic link to a folder, so a loop of links ends; hidden files are left out unless the
    pattern names them.

    Raises:
        UserError: the pattern is not valid.
    """
    path = Path(pattern)
    # A name that is a file is no pattern, whatever brackets it has.
    if path.is_file() or not path.name:
        return [path] if path.is_file() else []
    if path.name == "**":
        path /= "*"
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
