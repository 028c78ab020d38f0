import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).resolve().parents[3]
GUIDE = (REPO / "docs" / "deduplication.md").read_text(encoding="utf-8")
COMMAND = next(line for line in GUIDE.splitlines() if line.startswith("python data_process.py"))


@pytest.fixture
def folder(tmp_path, random_texts, write_jsonl, tokenizer_config):
    """A folder with `mine.yaml`, whose corpus holds 40 documents, 10 of them near copies."""
    texts = random_texts(30, length=200)
    write_jsonl(tmp_path / "texts.jsonl", texts + [text[:180] + "完" for text in texts[:10]])
    recipe = {
        "name": "mine",
        "tokenizer": {"kind": "sentencepiece", "path": tokenizer_config.path},
        "data": {
            "dir": "data/mine",
            "sources": [{"reader": "jsonl", "path": "texts.jsonl"}],
            "val_fraction": 0.2,
        },
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return tmp_path


def test_the_guides_command_removes_near_copies_and_tells_which(folder):
    command = shlex.split(COMMAND.replace("data_process.py", str(REPO / "data_process.py")))
    done = subprocess.run(
        [sys.executable, *command[1:]], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = (folder / "data/mine/duplicates.jsonl").read_text(encoding="utf-8").splitlines()
    pairs = [json.loads(line) for line in lines]
    places = [(pair["removed"]["index"], pair["kept"]["index"]) for pair in pairs]
    assert places == [(30 + n, n) for n in range(10)]
    manifests = [
        json.loads((folder / "data/mine" / name).read_text(encoding="utf-8"))
        for name in ("pretrain_data.json", "val_data.json")
    ]
    assert sum(manifest["documents"] for manifest in manifests) == 30


def test_the_guide_in_chinese_has_the_same_commands_and_figures():
    chinese = (REPO / "docs" / "deduplication_CN.md").read_text(encoding="utf-8")
    english_blocks, chinese_blocks = (text.split("```")[1::2] for text in (GUIDE, chinese))
    assert chinese_blocks == english_blocks
    rows = [line for line in GUIDE.splitlines() if line.startswith("| 0.")]
    assert len(rows) == 5 and set(rows) <= set(chinese.splitlines())
