"""Fixtures of the evaluation tests."""

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
