"""Example files, from a recipe's sources to what a trainer reads."""

import dataclasses

import numpy as np
import pytest

from chat.messages import Message
from chat.template import ChatTemplate
from common.errors import UserError
from corpus.config import DataConfig, SourceConfig
from corpus.example_file import ExampleFile, open_examples
from corpus.example_pipeline import build_examples
from tokenizer.config import TokenizerConfig

CHAIN_ROWS = ("word", "explanation", "derivation", "example")


@pytest.fixture
def template(tokenizer):
    return ChatTemplate.for_tokenizer(tokenizer, "question_answer")


@pytest.fixture
def make(tmp_path, template):
    """Write idioms and build their example files: `make(kind, readers...)`."""
    characters = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏"
    rng = np.random.default_rng(0)
    words = sorted({"".join(rng.choice(list(characters), 4)) for _ in range(400)})
    rows = [",".join(CHAIN_ROWS)]
    rows += [f"{word},{''.join(rng.choice(list(characters), 9))}。,无,无" for word in words]
    raw = tmp_path / "idiom.csv"
    raw.write_text("\n".join(rows) + "\n", encoding="utf-8")

    def build(kind, *readers, **options):
        sources = [SourceConfig(reader, str(raw)) for reader in readers]
        options = {"val_fraction": 0.02, "workers": 1} | options
        data = DataConfig(str(tmp_path / "data"), sources, kind=kind, **options)
        return build_examples(template, data, TokenizerConfig()), data

    return build


def everything(file):
    return [file.example(index) for index in range(file.n_examples)]


def test_dialogues_come_back_as_the_template_writes_them(make, template):
    report, data = make("sft", "idiom_chain", "idiom_explain")
    train, val = open_examples(data.dir, "sft")
    assert (report.train, report.val) == (train.manifest, val.manifest)
    for file in (train, val):
        file.check(template.tokenizer, template)
        assert file.lengths().shape == (file.n_examples, 1)
        lengths = []
        for index, ((ids, mask),) in enumerate(everything(file)):
            lengths.append(len(ids))
            text = template.tokenizer.decode(ids)
            assert text.startswith(
                "问：成语接龙：" if "chain" in file.source(index) else "问：解释"
            )
            turns = [turn.split("\n答：\n") for turn in text.removeprefix("问：").split("问：")]
            messages = [
                Message(role, said)
                for turn in turns
                for role, said in zip(("user", "assistant"), turn)
            ]
            assert template.render(messages) == (ids.tolist(), mask.tolist())
        assert lengths == file.lengths().ravel().tolist()
        assert file.manifest.longest == max(lengths)
        trained = sum(mask.sum() for ((_, mask),) in everything(file))
        assert file.manifest.trained_tokens == trained
    assert {source.documents > 0 for source in report.train.sources} == {True}
    assert train.fingerprint != val.fingerprint


def test_pairs_hold_the_prompt_twice_and_two_answers(make, template):
    _, data = make("pairs", "idiom_chain_pairs", "idiom_explain_pairs")
    for file in open_examples(data.dir, "pairs"):
        assert file.lengths().shape == (file.n_examples, 2)
        for (chosen, chosen_mask), (rejected, rejected_mask) in everything(file):
            prompts = [ids[: mask.argmax()] for ids, mask in
                       ((chosen, chosen_mask), (rejected, rejected_mask))]  # fmt: skip
            assert prompts[0].tolist() == prompts[1].tolist()
            answers = [
                template.answer_text(ids[mask == 1].tolist())
                for ids, mask in ((chosen, chosen_mask), (rejected, rejected_mask))
            ]
            assert answers[0] != answers[1] and all(answers)
            asked = template.tokenizer.decode(prompts[0])[2:].splitlines()[0].split("：")
            if asked[0] == "成语接龙":
                assert answers[0][0] == asked[1][-1] != answers[1][0]
            else:
                assert len(answers[0]) == len(answers[1])


def test_tasks_hold_the_prompt_and_its_key(make, template):
    _, data = make("task", "idiom_chain_task", "idiom_guess_task")
    for file in open_examples(data.dir, "task"):
        for index, ((ids, mask),) in enumerate(everything(file)):
            assert not mask.any()
            key = file.key(index)
            prompt = [Message(**message) for message in key["prompt"]]
            assert template.prompt_ids(prompt) == ids.tolist()
            assert key["source"] == file.source(index)
            if key["task"] == "chain":
                assert all(
                    answer[0] == key["word"][-1] == key["first"] for answer in key["answers"]
                )
            else:
                assert key["answers"] == [key["word"]]
    with pytest.raises(UserError, match="holds examples of kind task, not sft"):
        open_examples(data.dir, "sft")


def test_no_prompt_is_on_both_sides(make, template):
    for kind, reader in (("sft", "idiom_explain"), ("pairs", "idiom_chain_pairs")):
        _, data = make(kind, reader)
        prompts = [
            {tuple(ids[: mask.argmax()]) for (ids, mask), *_ in everything(file)}
            for file in open_examples(data.dir, kind)
        ]
        assert prompts[0] and prompts[1] and not prompts[0] & prompts[1]


def test_the_outcome_does_not_depend_on_who_does_the_work(make, tmp_path, monkeypatch):
    make("sft", "idiom_chain", "idiom_guess", dedup="near")
    files = sorted((tmp_path / "data").glob("*_examples*"))
    first = {path.name: path.read_bytes() for path in files}
    for path in files:
        path.unlink()
    monkeypatch.setattr("corpus.executors.POOL_BYTES", 0)
    make("sft", "idiom_chain", "idiom_guess", dedup="near", workers=2)
    assert {path.name: path.read_bytes() for path in files} == first
    report, _ = make("sft", "idiom_chain", "idiom_guess", dedup="near", workers=2)
    assert report.up_to_date


def test_a_weight_repeats_examples_of_training(make, template):
    report, data = make("sft", "idiom_explain")
    once = report.train.examples, report.val.examples
    data = dataclasses.replace(data, sources=[dataclasses.replace(data.sources[0], weight=2)])
    report = build_examples(template, data, TokenizerConfig())
    assert (report.train.examples, report.val.examples) == (2 * once[0], once[1])


def test_files_that_do_not_fit_are_one_sentence(make, template, tmp_path):
    _, data = make("sft", "idiom_explain")
    file = ExampleFile.open(data.dir, "train")
    other = ChatTemplate.for_tokenizer(template.tokenizer)
    with pytest.raises(UserError, match="made with another chat template .question_answer. than"):
        file.check(template.tokenizer, other)
    mask = tmp_path / "data" / "train_examples.mask"
    content = bytearray(mask.read_bytes())
    content[0] ^= 1
    mask.write_bytes(content)
    with pytest.raises(UserError, match="train_examples.mask is not the file that its manifest"):
        file.check(template.tokenizer, template)
    mask.write_bytes(content[:-1])
    with pytest.raises(UserError, match="is not of the size that its manifest gives"):
        ExampleFile.open(data.dir, "train")
    mask.unlink()
    with pytest.raises(UserError, match="train_examples.mask does not exist"):
        ExampleFile.open(data.dir, "train")
    with pytest.raises(UserError, match="run python data_process.py with the same recipe first"):
        ExampleFile.open(tmp_path, "train")


def test_a_reader_of_another_kind_is_one_sentence(make):
    with pytest.raises(UserError, match="reader idiom_chain gives sft, but data.kind is pairs"):
        make("pairs", "idiom_chain")


def test_passages_stand_before_questions_as_in_serving(make, template, tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.txt").write_text("日月盈昃，辰宿列张。", encoding="utf-8")
    _, data = make("sft", "idiom_explain", augment_documents=str(folder), augment_passages=1)
    file, _ = open_examples(data.dir, "sft")
    texts = [template.tokenizer.decode(ids) for ((ids, _),) in everything(file)]
    with_passage = [
        text for text in texts if text.startswith("资料：\n[1] 日月盈昃，辰宿列张。\n问：")
    ]
    without = [text for text in texts if text.startswith("问：")]
    assert with_passage and without and len(with_passage) + len(without) == len(texts)
    assert not any(character in text[:12] for text in without for character in "日月盈昃辰宿列张")
    # Other documents, other examples; the same ones, nothing to do.
    make("sft", "idiom_explain", augment_documents=str(folder), augment_passages=1)
    assert open_examples(data.dir, "sft")[0].manifest == file.manifest
    (folder / "a.txt").write_text("天地玄黄。", encoding="utf-8")
    report, _ = make("sft", "idiom_explain", augment_documents=str(folder), augment_passages=1)
    assert not report.up_to_date


def test_documents_for_texts_are_one_sentence():
    with pytest.raises(ValueError, match="data.augment_documents is for dialogues"):
        DataConfig(augment_documents="documents")
