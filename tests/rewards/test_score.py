import json

import pytest

from common.errors import UserError
from rewards.answer import Answer, read_answers, write_answers
from rewards.poem import held_out
from rewards.registry import REWARDS, find_reward, reward
from rewards.score import main

QUATRAIN = "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"
PROMPT = "写一首五言绝句，题目：登楼"


def test_rates_with_intervals(tmp_path, capsys):
    path = tmp_path / "answers.jsonl"
    write_answers([Answer(PROMPT, QUATRAIN), Answer(PROMPT, QUATRAIN[:12])], path)
    assert main(["--reward", "poem", str(path)]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert rows["poem_form"] == ["50.0%", "9.5", "to", "90.5", "0.625"]
    assert rows["poem_rules"] == ["50.0%", "9.5", "to", "90.5", "0.500"]
    assert rows["poem_rhyme_variety"][:2] == ["-", "-"]
    assert float(rows["poem_distinct_2:"][0]) == round(16 / 24, 3)


def test_copies_of_training_poems(tmp_path, capsys):
    answers, poems = tmp_path / "answers.jsonl", tmp_path / "poems.jsonl"
    paragraphs = [QUATRAIN[:12], QUATRAIN[12:]]
    poems.write_text(json.dumps({"title": "登楼", "paragraphs": paragraphs}), encoding="utf-8")
    line_only = "白日依山尽，海入河黄流。目里千穷欲，楼层一上更。"
    write_answers([Answer(PROMPT, text) for text in (QUATRAIN, line_only, "春", QUATRAIN)], answers)
    command = ["--reward", "poem_form", str(answers), "--training", str(poems)]
    main([*command, "--val_fraction", "1e-9"])
    assert "a run of 8 characters        50.0%" in (out := capsys.readouterr().out)
    assert "a whole line                 75.0%" in out


def test_the_poets_own_held_out_poems_are_answers(tmp_path):
    poems, answers = tmp_path / "poems.jsonl", tmp_path / "real.jsonl"
    records = [{"title": t, "paragraphs": [QUATRAIN]} for t in ("登楼", "望远", "登山")]
    poems.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    command = [str(poems), str(answers), "--val_fraction", str(1 - 1e-9)]
    held_out.main([*command, "--form", "五言绝句", "--limit", "2"])
    found = read_answers(answers)
    assert [(a.prompt, a.completion) for a in found] == [
        ("五言绝句：登楼\n", QUATRAIN),
        ("五言绝句：望远\n", QUATRAIN),
    ]
    poems.write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="holds no poem"):
        held_out.main(command)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "holds no answer"),
        ("{", ":1 is not JSON"),
        ("[]", ":1 is no object"),
        ('{"prompt": "a"}', ":1 has no completion"),
        ('{"prompt": "a", "completion": 3}', "completion must be of type str"),
        ('{"prompt": "a", "completion": "b", "key": 3}', "key must be of type dict"),
    ],
)
def test_bad_files_are_one_sentence(tmp_path, line, sentence):
    path = tmp_path / "answers.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(UserError, match=sentence):
        read_answers(path)
    with pytest.raises(UserError, match="cannot read answers"):
        read_answers(tmp_path / "missing")


def test_unknown_rewards_name_the_known_ones(tmp_path):
    with pytest.raises(UserError, match="'poetry' is unknown; the rewards are ended, idiom_chain"):
        find_reward("poetry")


def test_a_new_reward_is_one_function(monkeypatch):
    monkeypatch.setattr("rewards.registry.REWARDS", known := dict(REWARDS))

    @reward("short")
    def short(answer):
        return len(answer.completion) < 3

    assert known["short"].score("", "ab") == 1.0 and known["short"].score("", "abc") == 0.0


@pytest.mark.parametrize(
    ("completion", "ended", "first", "dense", "real"),
    [
        ("马到成功", True, 1, 1.0, 1),
        (" 马到成功\n", True, 1, 1.0, 1),
        ("马到成功", False, 1, 0.5, 0),
        ("马到功成", True, 1, 0.5, 0),
        ("马马虎虎虎", True, 1, 0.25 / 2, 0),
        ("一马当先", True, 0, 0.0, 0),
        ("", True, 0, 0.0, 0),
    ],
)
def test_chain_of_idioms(completion, ended, first, dense, real):
    key = {"answers": ["马到成功", "马革裹尸"]}
    for name, value in (("_first", first), ("", dense), ("_real", real)):
        found = find_reward(f"idiom_chain{name}")
        assert found.score("成语接龙：千军万马", completion, key, ended) == value
    assert find_reward("idiom_chain_first").score("x", "马", {"first": "马"}) == 1
