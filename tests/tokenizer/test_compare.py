import subprocess
import sys

import pytest

from common.errors import UserError
from tokenizer.compare import compare
from tokenizer.tokenizer import load_tokenizer
from tokenizer.train import train_sentencepiece

TEXT = "春眠不觉晓，处处闻啼鸟。\n夜来风雨声，花落知多少。\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    train_sentencepiece([TEXT * 3] * 20, 290, folder / "small.model")
    train_sentencepiece([TEXT * 3] * 20, 305, folder / "large.model")
    (folder / "poem.txt").write_text(TEXT, encoding="utf-8", newline="")
    (folder / "rare.txt").write_text("𠀀春\r\n", encoding="utf-8", newline="")
    return folder


def tokenizers(folder, *names):
    return {name: load_tokenizer("sentencepiece", folder / f"{name}.model") for name in names}


def test_counts(folder):
    (result,) = compare(tokenizers(folder, "small"), [folder / "rare.txt"])
    assert (result.vocab_size, result.characters, result.text_bytes) == (290, 4, 9)
    assert (result.tokens, result.byte_pieces, result.unknown) == (7, 6, 0), "𠀀 and \\r\\n"


def test_the_larger_vocabulary_takes_fewer_tokens_for_the_same_text(folder):
    files = [folder / "poem.txt", folder / "rare.txt"]
    small, large = compare(tokenizers(folder, "small", "large"), files)
    assert small.characters == large.characters == len(TEXT) + 4
    assert large.tokens < small.tokens


def test_chatglm_beside_a_trained_one(folder, chatglm_model):
    both = tokenizers(folder, "small") | {"c": load_tokenizer("sentencepiece", chatglm_model)}
    small, chatglm = compare(both, [folder / "poem.txt"])
    assert (chatglm.vocab_size, chatglm.tokens) == (64789, 24)
    assert chatglm.byte_pieces == 2, "the line breaks"
    assert small.characters == chatglm.characters


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"cannot read .*bad\.txt \(No such file or directory\)"),
        (b"\xff", "is not UTF-8"),
        (b"", "there is no text"),
    ],
)
def test_bad_files(folder, tmp_path, content, sentence):
    path = tmp_path / "bad.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        compare(tokenizers(folder, "small"), [path])


def run(folder, repo, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "tokenizer.compare", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(repo)},
        capture_output=True,
        encoding="utf-8",
    )


def test_command(folder, repo):
    arguments = ["--tokenizer", "mine=small.model", "other=large.model", "--text", "poem.txt"]
    result = run(folder, repo, *arguments)
    assert result.returncode == 0, result.stderr
    header, mine, other = result.stdout.splitlines()
    assert header.split()[:3] == ["tokenizer", "pieces", "tokens"]
    assert mine.split()[:2] == ["mine", "290"] and other.split()[:2] == ["other", "305"]
    assert float(mine.split()[3]) == pytest.approx(74 / int(mine.split()[2]), abs=0.01)
    result = run(folder, repo, "--tokenizer", "small.model", "--text", "poem.txt")
    assert result.returncode == 1
    assert result.stderr.startswith("error: --tokenizer small.model is not NAME=PATH")
    twice = ["--tokenizer", "mine=small.model", "mine=large.model", "--text", "poem.txt"]
    assert "the same NAME twice" in run(folder, repo, *twice).stderr
