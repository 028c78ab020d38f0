"""post_train.py by its commands: dialogues, resuming, a chat, and what it refuses."""

import json
import shutil
import subprocess
import sys

import pytest

from recipe import REPO
from tests.evaluation.cases import make_run

CONFIG = REPO / "configs" / "debug-sft.yaml"


@pytest.fixture(scope="module")
def options(tmp_path_factory, graph_mode, run_command):
    """Options of a run that is trained further from an untrained debug run, its data made."""
    folder = tmp_path_factory.mktemp("sft")
    base = make_run(folder)
    options = [
        *("--config", CONFIG, "--out_dir", folder / "tuned", "--train.init_from", base.path),
        *("--data.dir", folder / "dialogues", "--train.max_steps", "6"),
        *("--train.save_interval", "3", "--train.eval_interval", "3", "--train.log_interval", "1"),
    ]
    done = run_command("data_process.py", *options)
    assert (done.returncode, done.stderr) == (0, "")
    return options


def metrics(run) -> list[dict]:
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_dialogues_are_learned_and_answered(options, run_command):
    done = run_command("post_train.py", *options)
    assert done.returncode == 0, done.stderr
    run = options[3] / "debug-sft"
    assert "padding" in (run / "train.log").read_text(encoding="utf-8")
    losses = [record["loss"] for record in metrics(run) if "loss" in record]
    assert len(losses) == 6 and losses[-1] < losses[0]
    assert (run / "chat_template.json").is_file()
    longer = [*options, "--train.max_steps", "8"]
    done = run_command("post_train.py", *longer)
    assert done.returncode == 0 and "continuing from" in done.stdout + done.stderr
    assert [record["step"] for record in metrics(run) if "loss" in record] == list(range(1, 9))
    chat = subprocess.run(
        [sys.executable, REPO / "eval_pretrain.py", "--run", run, "--chat"],
        input="你好\n/quit\n", capture_output=True, encoding="utf-8", cwd=REPO, timeout=200,
        check=False,
    )  # fmt: skip
    assert chat.returncode == 0, chat.stderr


def adapted(options, **changes) -> list:
    """Options of an adapter's run of two steps."""
    adapter = {"kind": "lora", "rank": 2, **changes}
    steps = ("--train.max_steps", "2", "--train.save_interval", "2", "--train.eval_interval", "2")
    named = [part for name, value in adapter.items() for part in (f"--adapter.{name}", value)]
    return [*options, *steps, "--name", "adapted", *named]


def test_an_adapter_is_trained_and_refused_on_another_base(options, run_command, tmp_path):
    done = run_command("post_train.py", *adapted(options, dropout=0.1))
    assert done.returncode == 0, done.stderr
    assert "(rank 2 beside wq, wk, wv, wo, w1, w2, w3) + whole 0" in done.stdout
    run = options[3] / "adapted"
    assert (run / "checkpoints" / "step_00000002" / "adapter.safetensors").is_file()
    shutil.copytree(run, tmp_path / "adapted")
    state = tmp_path / "adapted" / "checkpoints" / "step_00000002" / "state.json"
    values = json.loads(state.read_text(encoding="utf-8"))
    other = tmp_path / "other.safetensors"
    base = (run / values["base"]["file"]).resolve()
    other.write_bytes(base.read_bytes()[:-4] + b"\0\0\0\0")
    values["base"]["file"] = "../other.safetensors"
    state.write_text(json.dumps(values), encoding="utf-8")
    done = run_command("eval_pretrain.py", "--run", tmp_path / "adapted", "--prompt", "小明")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "holds an adapter of another base than" in done.stderr


def test_a_chat_needs_a_template(options, run_command):
    base = options[options.index("--train.init_from") + 1]
    done = run_command("eval_pretrain.py", "--run", base, "--chat")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "has no chat template (chat_template.json)" in done.stderr


ASKED = {"role": "user", "content": "你好吗？"}
SAID = {"role": "assistant", "content": "很好。"}
LONG = {"role": "assistant", "content": "一二三四五六七八九十" * 30}


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([{"role": "robot", "content": "好"}], "unknown role 'robot'"),
        ([ASKED, {**SAID, "content": " "}], "empty answer"),
        ([SAID, ASKED, SAID], "the dialogue begins with the assistant"),
        (None, "no field messages among question"),
    ],
)
def test_dialogues_of_no_use_are_one_sentence(options, run_command, tmp_path, messages, reason):
    record = {"question": "你好吗？"} if messages is None else {"messages": messages}
    path = tmp_path / "dialogues.jsonl"
    path.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    sources = f"[{{reader: messages, path: {path}}}]"
    more = ("--data.sources", sources, "--data.dir", tmp_path / "data")
    done = run_command("data_process.py", *options, *more)
    assert done.returncode == 1 and reason in done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "gave no" in done.stderr.splitlines()[-1]


def test_answers_that_the_context_would_cut_are_left_out_and_named(options, run_command, tmp_path):
    lines = [{"messages": [{**ASKED, "content": f"第{i}问？"}, SAID]} for i in range(40)]
    lines.append({"messages": [ASKED, LONG]})
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    (tmp_path / "dialogues.jsonl").write_text(text, encoding="utf-8")
    sources = f"[{{reader: messages, path: {tmp_path / 'dialogues.jsonl'}}}]"
    more = ("--data.sources", sources, "--data.dir", tmp_path / "data", "--data.dedup", "none")
    done = run_command("data_process.py", *options, *more)
    assert done.returncode == 0, done.stderr
    assert "longer than" in done.stdout, done.stdout


@pytest.mark.parametrize(
    "script, more, sentence",
    [
        ("pretrain.py", (), "objective.kind is sft, which trains a model further; run post_train"),
        ("post_train.py", ("--train.init_from", "null"), "train.init_from is null; name the model"),
        ("post_train.py", ("--objective.group", "1"), "objective.group is unknown for"),
        ("post_train.py", ("--adapter.kind", "lora", "--adapter.rank", "0"), "adapter.rank is 0"),
        ("post_train.py", ("--adapter.kind", "lora", "--adapter.targets", "[wq, w9]"),
         "adapter.targets names w9, which no block has"),
        ("post_train.py", ("--objective.kind", "grpo"), "objective.kind is grpo, which reads"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(options, refusal, script, more, sentence):
    assert sentence in refusal(script, *options, *more)


NO_MODEL = "is no model to start from; name a Hugging Face folder, a .gguf file, a run directory"


@pytest.mark.parametrize(
    "option, value, sentence",
    [
        ("--out_dir", "f", "cannot write f/odd: Not a directory; a file is where a folder"),
        ("--out_dir", "/proc/x", "cannot write /proc/x/odd: No such file or directory; "),
        ("--out_dir", "字" * 90, "File name too long"),
        ("--data.dir", "f", "f is a file; name the folder of the data"),
        ("--data.dir", "gone", "gone/train_examples.json does not exist; run python data_process"),
        ("--data.dir", "字" * 90, "File name too long"),
        ("--train.init_from", "f", f"f {NO_MODEL}"),
        ("--train.init_from", "f/x", f"f/x {NO_MODEL}"),
        ("--train.init_from", "gone", f"gone {NO_MODEL}"),
        ("--train.init_from", "字" * 90, "File name too long"),
    ],
)
def test_an_odd_path_is_one_sentence(options, tmp_path, refusal, option, value, sentence):
    (tmp_path / "f").touch()
    words = (*options, "--name", "odd", option, value)
    assert sentence in refusal("post_train.py", *words, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["f"], "nothing was written"
