"""Checkpoints are whole or absent, and damage is noticed."""

import errno
import os

import numpy as np
import pytest
from mindspore import Parameter, Tensor, ops

from common.errors import UserError
from runs.checkpoint import (
    OPTIMIZER,
    WEIGHTS,
    CheckpointFolder,
    copy_values,
    load_parameters,
)


def parameters(value: float, rows: int = 3) -> list[Parameter]:
    table = Parameter(Tensor(np.full((rows, 2), value, np.float32)), name="embedding")
    return [table, Parameter(Tensor(np.float32(value)), name="step")]


def save(folder: CheckpointFolder, step: int, **state) -> None:
    weights, count = parameters(step)
    folder.save(step, copy_values([weights]), copy_values([count]), {"tokens": 10 * step, **state})


def steps(folder: CheckpointFolder) -> list[int]:
    return [checkpoint.step for checkpoint in folder.all()]


def test_the_newest_are_kept_and_latest_names_the_last(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=2)
    for step in (5, 10, 15):
        save(folder, step)
    assert steps(folder) == [10, 15]
    assert (tmp_path / "latest").read_text().strip() == "step_00000015"
    newest = folder.newest(pytest.fail)
    assert newest.state()["tokens"] == 150
    weights, state = parameters(0)
    load_parameters(newest.path / WEIGHTS, [weights])
    load_parameters(newest.path / OPTIMIZER, [state])
    assert weights.asnumpy().tolist() == [[15, 15]] * 3 and float(state.asnumpy()) == 15


def test_the_best_is_kept_beside_the_newest(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=1)
    assert folder.best() is None
    losses = {5: 3.0, 10: 2.0, 15: float("nan"), 20: 2.5, 25: None}
    for step, loss in losses.items():
        save(folder, step, val_loss=loss)
    assert steps(folder) == [10, 25]
    assert folder.best().step == 10 and folder.newest(pytest.fail).step == 25


def test_a_copy_does_not_follow_the_parameter():
    weights, _ = parameters(1)
    copy = copy_values([weights])
    ops.assign(weights, weights * 2)
    assert copy["embedding"].tolist() == [[1, 1]] * 3 and weights.asnumpy()[0, 0] == 2


def test_one_flipped_byte_is_noticed_and_the_one_before_is_used(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=3)
    save(folder, 1)
    save(folder, 2)
    file = folder.all()[-1].path / WEIGHTS
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    said = []
    assert folder.newest(said.append).step == 1
    assert "step_00000002/weights.safetensors is damaged" in said[0]
    (folder.all()[0].path / OPTIMIZER).unlink()
    with pytest.raises(UserError, match="every checkpoint .* is damaged"):
        folder.newest(said.append)


def test_a_full_disk_leaves_the_older_checkpoint(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path, keep=1)
    save(folder, 1)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        save(folder, 2)
    assert steps(folder) == [1]
    assert [path.name for path in folder.folder.iterdir()] == ["step_00000001"]
    assert folder.newest(pytest.fail).step == 1


@pytest.mark.parametrize(
    ("rows", "name", "says"),
    [(4, "embedding", "the vocabulary differs"), (3, "other", "differ in embedding")],
)
def test_what_does_not_fit_is_named(tmp_path, rows, name, says):
    folder = CheckpointFolder(tmp_path)
    save(folder, 1)
    weights, _ = parameters(0, rows)
    weights.name = name
    with pytest.raises(UserError, match=says):
        load_parameters(folder.all()[0].path / WEIGHTS, [weights])
