"""Fixtures of the evaluation tests."""

import json

import pytest


@pytest.fixture(scope="session")
def run(graph_mode, tmp_path_factory):
    """An untrained run, shared: tests add files to it but change none."""
    from tests.evaluation.cases import make_run

    return make_run(tmp_path_factory.mktemp("evaluation"))


@pytest.fixture(scope="session")
def writer(run):
    from generation.writer import Writer

    return Writer(run.load_model(), run.tokenizer(), run.recipe.eval)


@pytest.fixture(scope="session")
def scorer(run):
    """Its graphs are compiled once for all tests."""
    from evaluation.scoring import Scorer

    return Scorer(run.load_model(), run.tokenizer().eos_id, batch=2)


@pytest.fixture(scope="session")
def model(scorer, writer):
    from evaluation.lm_eval_model import LlamaLM

    return LlamaLM(scorer, writer)


@pytest.fixture(scope="session")
def tasks(run, tmp_path_factory):
    """A data folder of titles, 2 of them held out."""
    from chat.template import ChatTemplate
    from corpus.config import DataConfig, SourceConfig
    from corpus.example_pipeline import build_examples
    from tokenizer.config import TokenizerConfig

    folder = tmp_path_factory.mktemp("tasks")
    lines = [f"第{n}句" for n in "一二三四五"]
    poems = [{"title": f"古风{n}", "paragraphs": lines} for n in "甲乙丙"]
    poems += [{"title": f"春{n}", "paragraphs": ["春天天天天，"] * 4} for n in "日夜"]
    (folder / "poems.jsonl").write_text("\n".join(map(json.dumps, poems)), encoding="utf-8")
    template = ChatTemplate.for_tokenizer(run.tokenizer(), "question_answer")
    source = SourceConfig("poem_title_task", str(folder / "poems.jsonl"), field="五言绝句")
    data = DataConfig(str(folder), [source], kind="task", val_fraction=1 - 1e-9, workers=1)
    build_examples(template, data, TokenizerConfig())
    return folder
