"""docs/chat.md says what the readers and templates do."""

import re

import pytest

from chat.styles import STYLES
from corpus.registry import READERS, find_reader
from recipe import REPO


@pytest.mark.parametrize("name", ["chat.md", "chat_CN.md"])
def test_every_reader_and_template_is_listed(name):
    find_reader("jsonl")
    text = (REPO / "docs" / name).read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    named = set(re.findall(r"`(\w+)`", "".join(rows)))
    readers = {reader for reader, found in READERS.items() if found.examples}
    of_tasks = {reader for reader in readers if reader.endswith("task") or reader == "tasks"}
    assert named == (readers - of_tasks) | (STYLES.keys() - {"chatglm3"}) | {
        "auto", "sft", "pairs", "task",
    }  # fmt: skip
    assert all(f"`{reader}`" in text for reader in of_tasks)
