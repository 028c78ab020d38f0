"""The loss of fine-tuning on dialogues: packed, alone, and as transformers computes it."""

import json

import numpy as np
import pytest
from mindspore import Tensor, nn

from chat.template import ChatTemplate
from corpus.config import DataConfig, SourceConfig
from corpus.example_file import ExampleFile
from corpus.example_pipeline import build_examples
from corpus.packed_rows import PackedRows
from interop.exporter import load
from interop.hf.format import write_hf
from tests.chat.cases import make_dialogues
from tests.interop.cases import make_run
from tokenizer.config import TokenizerConfig
from tokenizer.tokenizer import RESERVED_PIECES, load_tokenizer
from tokenizer.train import train_sentencepiece
from training.objectives.cross_entropy import NextToken

DIALOGUES, CONTEXT = 50, 256


class Loss(nn.Cell):
    """Summed loss of a batch."""

    def __init__(self, network):
        super().__init__(auto_prefix=False)
        self.objective = NextToken(network)

    def construct(self, *columns):
        return self.objective(*columns)[0]


@pytest.fixture(scope="module")
def run(graph_mode, tmp_path_factory):
    """A run with a chat template whose logits are of order 1, and 50 dialogues in its data.dir."""
    folder = tmp_path_factory.mktemp("sft")
    texts = [message.content for dialogue in make_dialogues() for message in dialogue]
    train_sentencepiece(texts, 600, folder / "tokenizer.model", reserved=RESERVED_PIECES)
    tokenizer = load_tokenizer("sentencepiece", folder / "tokenizer.model")
    run = make_run(folder, tokenizer, max_seq_len=CONTEXT, document_mask=True)
    template = ChatTemplate.for_tokenizer(tokenizer)
    template.save(run.path)
    lines = [
        json.dumps({"messages": [message.to_json() for message in dialogue]}, ensure_ascii=False)
        for dialogue in make_dialogues()[:DIALOGUES]
    ]
    path = folder / "dialogues.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    data = DataConfig(
        run.recipe.data.dir, [SourceConfig("messages", str(path))], kind="sft", val_fraction=0.05,
        dedup="none", workers=1,
    )  # fmt: skip
    build_examples(template, data, TokenizerConfig())
    return run


@pytest.fixture(scope="module")
def files(run):
    """Both splits: all 50 dialogues."""
    files = [ExampleFile.open(run.recipe.data.dir, split) for split in ("train", "val")]
    assert sum(file.n_examples for file in files) == DIALOGUES
    return files


def alone(ids: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """The columns of a row that holds one dialogue, filled up with ids of no weight."""
    row, weight = np.zeros(CONTEXT + 1, np.int32), np.zeros(CONTEXT + 1, np.float32)
    row[: len(ids)], weight[: len(ids)] = ids, mask
    return [row[:-1], row[1:], weight[1:], np.zeros(CONTEXT, np.int32)]


@pytest.fixture(scope="module")
def loss(run):
    """The summed loss of a row's columns."""
    cell = Loss(run.load_model())
    return lambda columns: float(cell(*(Tensor(column[None].copy()) for column in columns)))


@pytest.fixture(scope="module")
def each_alone(files, loss):
    """Rows that hold one dialogue, with the summed loss of each."""
    rows = [alone(*file.example(i)[0]) for file in files for i in range(file.n_examples)]
    return [(row, loss(row)) for row in rows]


def test_packed_dialogues_have_the_loss_that_they_have_alone(files, loss, each_alone):
    packed, targets, rows = 0.0, 0.0, 0
    for file in files:
        packing = PackedRows(file, CONTEXT, pad_id=0, seed=1)
        for index in range(packing.plan(0).n_rows):
            columns = packing.row(index)
            packed, targets, rows = packed + loss(columns), targets + columns[2].sum(), rows + 1
    assert rows < DIALOGUES / 2, "several stand in a row"
    assert targets == sum(row[2].sum() for row, _ in each_alone)
    assert packed == pytest.approx(sum(found for _, found in each_alone), rel=1e-5)


def mean_losses(run, dialogues: list[list[dict]], folder) -> list[float]:
    """Loss an answer's token of each dialogue, from the export by transformers and PyTorch alone.

    The exported template marks what the assistant says, and the model shifts the labels itself.
    """
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    folder.mkdir()
    write_hf(load(run, "float32")[1], folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    losses = []
    for messages in dialogues:
        found = tokenizer.apply_chat_template(
            messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
        ids, mask = torch.tensor([found["input_ids"]]), torch.tensor([found["assistant_masks"]])
        with torch.no_grad():
            losses.append(float(model(ids, labels=ids.masked_fill(mask == 0, -100)).loss))
    return losses


def test_transformers_finds_our_loss_and_a_shifted_mask_does_not(
    run, files, loss, each_alone, tmp_path
):
    template = ChatTemplate.load(run.path, run.tokenizer())
    by_ids = {
        tuple(template.render(dialogue)[0]): [message.to_json() for message in dialogue]
        for dialogue in make_dialogues()[:DIALOGUES]
    }
    examples = [file.example(i)[0] for file in files for i in range(file.n_examples)]
    theirs = mean_losses(run, [by_ids[tuple(ids)] for ids, _ in examples], tmp_path / "hf")
    ours = [found / row[2].sum() for row, found in each_alone]
    assert np.std(ours) > 0.1 and np.abs(np.subtract(ours, theirs)).max() < 1e-4
    for shift in (-1, 1):
        shifted = [alone(ids, np.roll(mask, shift)) for ids, mask in examples]
        off_by_one = [loss(row) / row[2].sum() for row in shifted]
        differences = np.abs(np.subtract(off_by_one, theirs))
        assert (differences > 1e-4).all(), "the comparison shows a mask that is off by one"
