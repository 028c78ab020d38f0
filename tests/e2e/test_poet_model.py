"""The model in models/poet: small, used by every command, and the same poems from the same seed."""

import re
import subprocess
import sys

import numpy as np
import openai
import pytest

from corpus.verse.forms import FORMS, split_lines
from evaluation.answers import answer_tasks
from evaluation.poem_stages import TITLES, title_keys
from generation.decoding import Decoder
from interop.exporter import export
from recipe import REPO
from runs.run import Run
from tests.serving.conftest import serving

MODEL = REPO / "models" / "poet"
FORM = FORMS["七言绝句"]
QUESTION = "写一首七言绝句，题目：春日"


@pytest.fixture(scope="module")
def run(graph_mode) -> Run:
    return Run.open(MODEL)


def poems_in_report() -> list[str]:
    text = (MODEL / "poems.md").read_text(encoding="utf-8")
    found = dict(re.findall(r"^\*\*(.+)\*\*\n\n    (.+)$", text, re.MULTILINE))
    return [found[title] for title in TITLES]


def test_it_is_small():
    listed = subprocess.run(
        ["git", "ls-files", "models"], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert sum((REPO / name).stat().st_size for name in listed.stdout.split()) < 8e6


def test_the_plain_path_writes_the_poems_of_the_report(run, monkeypatch):
    monkeypatch.setattr("generation.decoding.on_cpu", lambda: False)
    assert [answer.completion for answer in answer_tasks(run, title_keys(FORM.name))] == (
        poems_in_report()
    )


def test_the_fast_path_differs_by_rounding(run, monkeypatch):
    network, ids = run.load_model(), run.tokenizer().encode(poems_in_report()[0])
    fast = Decoder(network)
    monkeypatch.setattr("generation.decoding.on_cpu", lambda: False)
    plain = Decoder(network)
    found, right = (
        [decoder.begin([ids[:4]], 2, len(ids)).copy()]
        + [decoder.feed([token]).copy() for token in ids[4:]]
        for decoder in (fast, plain)
    )
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(right), atol=1e-4)


def test_one_talks_to_it():
    chat = subprocess.run(
        [sys.executable, REPO / "eval_pretrain.py", "--run", MODEL, "--chat"],
        input=f"{QUESTION}\n/quit\n", capture_output=True, encoding="utf-8", cwd=REPO, timeout=200,
        check=False,
    )  # fmt: skip
    assert chat.returncode == 0, chat.stderr
    poem = re.search(r"[\u4e00-\u9fff，。]{32}", chat.stdout)[0]
    assert FORM.fits(split_lines(poem))


def test_it_is_served():
    with serving(MODEL) as server:
        client = openai.OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0)
        messages = [{"role": "user", "content": QUESTION}]
        done = client.chat.completions.create(model="poet", messages=messages, seed=1)
        client.close()
    assert FORM.fits(split_lines(done.choices[0].message.content))


def test_it_is_exported(run, tmp_path):
    assert "differ by at most 0 of" in export(run, "hf", tmp_path / "hf")
