"""Readers of published corpora, as they are distributed. docs/corpora.md says where each is from.

Most are one of the general formats with known fields; the others are functions of a few lines.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator

from corpus.config import SourceConfig
from corpus.input_file import InputFile
from corpus.readers.json_text import json_lines, read_json, read_jsonl
from corpus.readers.plain_text import read_txt_blank
from corpus.readers.records import joined, layout
from corpus.readers.tables import read_parquet
from corpus.registry import reader

# name -> (reader of the format, field of the text or fields to join)
LAYOUTS: dict[str, tuple[Callable, str | list[str]]] = {
    "baike_qa2019": (read_jsonl, ["title", "desc", "answer"]),
    "c4_zh": (read_jsonl, "text"),
    "dolma": (read_jsonl, "text"),
    "news2016zh": (read_jsonl, ["title", "content"]),
    "slimpajama": (read_jsonl, "text"),
    "tigerbot": (read_parquet, "content"),
    "tinystories_zh": (read_jsonl, "story_zh"),
    "webnovel": (read_jsonl, "text"),
    "webtext2019zh": (read_jsonl, ["title", "desc", "content"]),
    "wikipedia_cn": (read_json, "completion"),
    "wudao": (read_json, ["title", "content"]),
    "zhihu_kol": (read_parquet, ["INSTRUCTION", "RESPONSE"]),
}


@layout("baidu_baike", json_lines)
def baidu_baike(entry: dict) -> str:
    """BaiduBaike-5.63M: the title, summary and sections of an entry, any of which may be null."""
    parts = [entry, *(entry["sections"] or [])]
    texts = [part.get(key) for part in parts for key in ("title", "summary", "content")]
    return "\n".join(text for text in texts if text)


@layout("medical", json_lines)
def medical(record: dict) -> str:
    """shibing624/medical: the text of its pretrain files, question and answer of finetune."""
    return joined(record, "text" if "text" in record else ["instruction", "input", "output"])


def _read_fields(
    read: Callable, field: str | list[str], file: InputFile, source: SourceConfig
) -> Iterator[str]:
    return read(file, dataclasses.replace(source, field=field))


for _name, (_read, _field) in LAYOUTS.items():
    reader(_name)(functools.partial(_read_fields, _read, _field))
reader("cluecorpus")(read_txt_blank)
