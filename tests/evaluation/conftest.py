"""Fixtures of the evaluation tests."""

import pytest


@pytest.fixture(scope="session")
def run(graph_mode, tmp_path_factory):
    """An untrained run, shared: tests add files to it but change none."""
    from tests.evaluation.cases import make_run

    return make_run(tmp_path_factory.mktemp("evaluation"))


@pytest.fixture(scope="session")
def writer(run):
    from evaluation.continuation import Writer

    return Writer(run.load_model(), run.tokenizer(), run.recipe.eval)
