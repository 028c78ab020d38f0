"""The benchmark of long contexts runs: two forms of a run of short contexts beside a longer one."""

import dataclasses
import sys

import numpy as np

from benchmarks import long_context
from runs.run import Run
from tests.evaluation.cases import make_run


def test_runs_are_measured_on_the_same_windows(graph_mode, tmp_path, monkeypatch, capsys):
    run = make_run(tmp_path)
    model = dataclasses.replace(
        run.recipe.model, max_seq_len=128, rope_scaling="yarn", rope_factor=2.0
    )
    train = dataclasses.replace(run.recipe.train, micro_batch=2)
    recipe = dataclasses.replace(run.recipe, name="longer", model=model, train=train)
    longer = Run(recipe.run_dir, recipe)
    longer.create(run.tokenizer())
    (longer.path / "checkpoints").symlink_to(run.path / "checkpoints")
    rows = np.arange(2 * 129, dtype=np.int32).reshape(2, 129)
    monkeypatch.setattr(long_context, "read_windows", lambda *_: rows)
    options = [str(run.path), str(longer.path), "--data", run.recipe.data.dir]
    monkeypatch.setattr(sys, "argv", ["long_context", *options])
    long_context.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 windows of 128 tokens")
    assert lines[1].split()[1:] == [*"0 to 16 16 to 32 32 to 64 64 to 128".split()]
    assert [line.split("  ")[0] for line in lines[2:]] == ["debug", "debug, yarn", "longer"]
    assert lines[3].split("yarn")[1].split() == lines[4].split("longer")[1].split()


def test_windows_do_not_cross_documents(tmp_path):
    """Of documents of 9 and 3 ids, windows of 4 targets: two of the first, none of the second."""
    from corpus.token_file import VAL_NAME, TokenFileWriter

    with TokenFileWriter(tmp_path / VAL_NAME, 100) as writer:
        writer.write([10, 11, 12, 13, 14, 15, 16, 17, 2])
        writer.write([20, 21, 2])
    rows = long_context.read_windows(str(tmp_path), 4, eos_id=2)
    assert rows.tolist() == [[2, 10, 11, 12, 13], [13, 14, 15, 16, 17]]
