"""Each published layout of dialogues and preferences, on a few lines as they are distributed."""

import json

import pyarrow
import pytest
from pyarrow import parquet

from corpus.config import SourceConfig
from corpus.input_file import InputFile
from corpus.registry import find_reader

Q, A, Q2, A2 = "春天来了吗？", "来了。", "花开了吗？", "还没有。"
ROUNDS = [("user", Q), ("assistant", A), ("user", Q2), ("assistant", A2)]
MESSAGES = [{"role": role, "content": said} for role, said in ROUNDS]
SHAREGPT = [{"from": {"user": "human", "assistant": "gpt"}[role], "value": said}
            for role, said in ROUNDS]  # fmt: skip
ALPACA = {"instruction": Q, "input": "", "output": A}
ONE, INPUT = ROUNDS[:2], [("user", f"{Q}\n{Q2}"), ("assistant", A)]
RECORDS = {
    "alpaca": [
        (ALPACA, ONE),
        (ALPACA | {"input": Q2}, INPUT),
        (ALPACA | {"instruction": Q2, "output": A2, "history": [[Q, A]], "system": "答。"},
         [("system", "答。"), *ROUNDS]),
    ],
    "belle": [
        (ALPACA, ONE),
        ({"id": "1", "conversations": [{"from": "human", "value": Q},
                                       {"from": "assistant", "value": A}]}, ONE),
    ],
    "belle_multiturn": [
        ({"instruction": f"Human:{Q}\nAssistant:{A}\nHuman:{Q2}\nAssistant:", "input": "",
          "output": A2}, ROUNDS),
        (ALPACA, ONE),
    ],
    "firefly": [({"kind": "NLI", "input": Q, "target": A}, ONE)],
    "instructions": [({"prompt": Q, "response": A}, ONE)],
    "longalign": [({"messages": MESSAGES, "length": 9}, ROUNDS)],
    "longalpaca": [(ALPACA | {"file": "book.txt"}, ONE)],
    "messages": [
        ({"messages": MESSAGES}, ROUNDS),
        ({"messages": [MESSAGES[0], {"role": "tool", "content": "晴"}, MESSAGES[1]]},
         [ROUNDS[0], ("tool", "晴"), ROUNDS[1]]),
    ],
    "python_codes": [(ALPACA | {"text": f"{Q}{A}"}, ONE)],
    "sharegpt": [
        ({"id": "x", "conversations": SHAREGPT}, ROUNDS),
        ({"conversations": SHAREGPT, "system": "答。"}, [("system", "答。"), *ROUNDS]),
    ],
    "tigerbot_sft": [(ALPACA | {"input": None}, ONE)],
}  # fmt: skip
TRANSCRIPT = f"\n\nHuman: {Q}\n\nAssistant: {A}\n\nHuman: {Q2}\n\nAssistant:"
FIELDS = {"prompt": Q, "chosen": A, "rejected": A2}
PAIR, LONG_PAIR = ([ROUNDS[0]], A, A2), (ROUNDS[:3], A2, A)
PAIRS = {
    "cvalues": [({"prompt": Q, "pos_resp": A, "neg_resp": A2, "pos_type": "拒绝"}, PAIR)],
    "dpo_zh": [
        ({"conversations": SHAREGPT[:3], "chosen": {"from": "gpt", "value": A2},
          "rejected": {"from": "gpt", "value": A}}, LONG_PAIR),
        ({"conversations": SHAREGPT[:1], "chosen": A, "rejected": A2}, PAIR),
    ],
    "hh": [
        ({"chosen": f"{TRANSCRIPT} {A2}", "rejected": f"{TRANSCRIPT} {A}"}, LONG_PAIR),
        ({"chosen": MESSAGES, "rejected": [*MESSAGES[:3], {"role": "assistant", "content": A}]},
         LONG_PAIR),
    ],
    "pairs": [
        (FIELDS, PAIR),
        (FIELDS | {"prompt": TRANSCRIPT, "chosen": A2, "rejected": A}, LONG_PAIR),
        (FIELDS | {"prompt": MESSAGES[:3], "chosen": [*MESSAGES[:3], MESSAGES[3]], "rejected": A},
         LONG_PAIR),
    ],
    "rlhf_zh": [(FIELDS, PAIR)],
    "zhihu_rlhf": [(FIELDS, PAIR)],
}  # fmt: skip


def read(tmp_path, reader, content, name, **options):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return read_path(path, reader, **options)


def read_path(path, reader, **options):
    file = InputFile(path)
    source = SourceConfig(reader, str(path), **options)
    return list(find_reader(reader).read(file, source, 0.1)), file


def lines(records):
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in records)


def said(messages):
    return [(message.role, message.content) for message in messages]


@pytest.mark.parametrize("reader", RECORDS)
def test_dialogues(reader, tmp_path):
    records, expected = zip(*RECORDS[reader])
    for name, content in (("a.jsonl", lines(records)), ("a.json", json.dumps(records))):
        examples, file = read(tmp_path, reader, content, name)
        assert ([said(example.messages) for example in examples], file.skipped) == (
            list(expected),
            0,
        )
    assert find_reader(reader).kind == "sft"


@pytest.mark.parametrize("reader", PAIRS)
def test_preferences(reader, tmp_path):
    records, expected = zip(*PAIRS[reader])
    examples, file = read(tmp_path, reader, lines(records), "a.jsonl")
    found = [(said(e.messages), *(answer.content for answer in e.answers())) for e in examples]
    assert (found, file.skipped) == (list(expected), 0)
    assert find_reader(reader).kind == "pairs"


def test_every_reader_of_examples_is_tested():
    find_reader("jsonl")
    from corpus.registry import READERS

    named = {name for name, reader in READERS.items() if reader.examples}
    published = {name for name in named if not name.startswith(("idiom_", "poem_"))}
    assert published == {*RECORDS, *PAIRS, "tasks"}


def test_tables_are_read_by_the_ending_of_the_name(tmp_path):
    columns = {name: [value] for name, value in FIELDS.items()}
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    text = "prompt\tchosen\trejected\n" + "\t".join(FIELDS.values()) + "\n"
    for name in ("a.tsv", "a.csv"):
        (tmp_path / name).write_text(text if name == "a.tsv" else text.replace("\t", ","))
    for name in ("a.parquet", "a.tsv", "a.csv"):
        ((example,), _) = read_path(tmp_path / name, "zhihu_rlhf")
        assert (said(example.messages), example.chosen, example.rejected) == PAIR
    table = pyarrow.table({"conversations": [SHAREGPT]})
    parquet.write_table(table, tmp_path / "b.parquet")
    ((example,), _) = read_path(tmp_path / "b.parquet", "sharegpt")
    assert said(example.messages) == ROUNDS


def test_the_recipe_names_the_fields_of_other_layouts(tmp_path):
    record = {"title": Q, "body": Q2, "reply": A, "worse": A2}
    content = lines([record, record | {"body": None}])
    names = ["title", "body", "reply"]
    examples, _ = read(tmp_path, "instructions", content, "a.jsonl", field=names)
    assert [said(example.messages) for example in examples] == [INPUT, ONE]
    names = ["title", "reply", "worse"]
    (example, _), _ = read(tmp_path, "pairs", content, "a.jsonl", field=names)
    assert (said(example.messages), example.chosen, example.rejected) == PAIR
    examples, _ = read(tmp_path, "tasks", lines([record]), "a.jsonl", field="title")
    assert said(examples[0].messages) == [ROUNDS[0]]
    assert examples[0].key == {"body": Q2, "reply": A, "worse": A2}
    task = {"prompt": MESSAGES[:3], "answers": ["还没"]}
    (example,), _ = read(tmp_path, "tasks", lines([task]), "a.jsonl")
    assert (said(example.messages), example.key) == (ROUNDS[:3], {"answers": ["还没"]})


ANSWER_FIRST = {"messages": MESSAGES[1:]}
WRONG = [
    ("messages", {"messages": [{"role": "robot", "content": Q}]}, "unknown role 'robot'"),
    ("sharegpt", {"conversations": [{"from": "x", "value": Q}]}, "unknown role 'x'"),
    ("alpaca", ALPACA | {"output": " "}, "empty answer"),
    ("messages", ANSWER_FIRST, "the dialogue begins with the assistant"),
    ("messages", {"messages": MESSAGES[:3]}, "the dialogue ends without an answer"),
    ("alpaca", {"question": Q, "answer": A}, "no field instruction among question, answer"),
    ("firefly", {"input": Q}, "no field target among input"),
    ("messages", {"messages": Q}, "a conversation must be a list of objects"),
    ("instructions", [Q, A], "the record is not an object with named fields"),
    ("alpaca", ALPACA | {"history": [[Q]]}, "not in the layout of this corpus"),
    ("alpaca", ALPACA | {"output": 5}, "the content of the assistant message is not text"),
    ("pairs", FIELDS | {"rejected": f" {A}"}, "chosen equals rejected"),
    ("pairs", FIELDS | {"prompt": ""}, "a pair without a prompt"),
    ("cvalues", {"pos_resp": A, "neg_resp": A2}, "a pair without a prompt"),
    ("pairs", FIELDS | {"rejected": ""}, "empty answer"),
    ("dpo_zh", {"conversations": SHAREGPT[:2], "chosen": A, "rejected": A2}, "ends with an answer"),
    ("hh", {"chosen": f"Human: {Q}", "rejected": f"{TRANSCRIPT} {A}"}, "ends without an answer"),
    ("hh", {"chosen": MESSAGES[:2], "rejected": MESSAGES}, "answer different prompts"),
    ("pairs", FIELDS | {"chosen": [MESSAGES[0]]}, "an answer is not from the assistant"),
    ("tasks", {"prompt": MESSAGES[:2]}, "the prompt ends with an answer"),
]


@pytest.mark.parametrize(("reader", "record", "reason"), WRONG)
def test_a_record_of_no_use_is_skipped_with_its_reason(reader, record, reason, tmp_path, caplog):
    good = (RECORDS | PAIRS | {"tasks": [(FIELDS, None)]})[reader][0][0]
    examples, file = read(tmp_path, reader, lines([record, good]), "a.jsonl")
    assert (len(examples), file.skipped) == (1, 1)
    assert "a.jsonl:1 skipped: " in caplog.text and reason in caplog.text


def test_what_no_encoding_can_hold_is_skipped(tmp_path, caplog):
    content = '{"instruction": "\\ud83d", "input": "", "output": "x"}'
    examples, file = read(tmp_path, "alpaca", content, "a.jsonl")
    assert (examples, file.skipped) == ([], 1)
    assert "half a surrogate pair" in caplog.text
