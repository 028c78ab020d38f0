import random

import pytest

import benchmarks.tokenizers as tokenizers


def sentences(characters, seed):
    rng = random.Random(seed)
    return ["".join(rng.choices(characters, k=30)) for _ in range(400)]


def test_command_prints_a_table_for_each_text(monkeypatch, capsys, chatglm_model):
    texts = {
        "people_daily": sentences("国务院总理今天在北京会见外宾", 0),
        "idioms": [],
        "novel": [],
        "reviews": sentences("酒店房间很干净服务态度也好", 1),
        "docstrings": sentences("查询实例列表接口返回参数结构体", 2),
    }
    for name, documents in texts.items():
        monkeypatch.setattr(tokenizers, name, lambda documents=documents: iter(documents))
    monkeypatch.setattr(tokenizers, "SIZES", (330, 360))
    monkeypatch.setattr(tokenizers, "CLOUD_SIZE", 320)
    monkeypatch.setattr(tokenizers, "TRAIN_REVIEWS", 300)
    monkeypatch.setattr("sys.argv", ["tokenizers", str(chatglm_model)])
    tokenizers.main()
    reviews, docstrings = capsys.readouterr().out.strip().split("\n\n")
    assert reviews.startswith("reviews\n") and docstrings.startswith("docstrings\n")
    rows = [line.rsplit(maxsplit=7) for line in docstrings.splitlines()[2:]]
    assert [row[0] for row in rows] == [
        *("general 330", "general 360", "cloud 320", "chatglm", "chatglm + cloud")
    ]
    tokens = {row[0]: int(row[2].replace(",", "")) for row in rows}
    assert tokens["chatglm + cloud"] <= tokens["chatglm"]
    assert {row[5] for row in rows} == {"0.0000%"}


@pytest.mark.parametrize("train", [[], ["二"]])
def test_the_test_text_is_unseen(train):
    assert tokenizers.unseen(["一", "二", "一"], train) == [
        t for t in ["一", "二"] if t not in train
    ]
