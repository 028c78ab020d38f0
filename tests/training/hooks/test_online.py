"""SwanLab and Weights & Biases, against modules that have what is used of their documented API."""

import json
import sys
import types
from pathlib import Path

import pytest

from common.errors import UserError
from recipe import load_recipe
from tests.training.hooks.cases import held_out_record, training_record
from training.hooks.online import ID_LENGTH
from training.hooks.registry import LOGGERS, find_loggers
from training.hooks.swanlab import SwanLab
from training.hooks.wandb import WeightsAndBiases

SERVICES = {"wandb": WeightsAndBiases, "swanlab": SwanLab}
each_service = pytest.mark.parametrize("name", SERVICES)


class Service(types.ModuleType):
    """Remembers what it is given."""

    def __init__(self, name):
        super().__init__(name)
        self.starts, self.lines, self.finished = [], [], 0

    def init(self, **options):
        self.starts.append(options)
        return self

    def log(self, data, step):
        self.lines.append((step, data))

    def finish(self):
        self.finished += 1


@pytest.fixture
def service(name, monkeypatch) -> Service:
    service = Service(name)
    monkeypatch.setitem(sys.modules, name, service)
    return service


@pytest.fixture
def run(repo, tmp_path):
    return types.SimpleNamespace(path=tmp_path, recipe=load_recipe(repo / "configs" / "debug.yaml"))


def steps(service) -> list[int]:
    return [step for step, data in service.lines if "train/loss" in data]


@each_service
def test_a_run_is_shown_under_its_name_with_its_recipe(name, service, run):
    hook = SERVICES[name](run, [])
    hook.write(training_record(10, loss=5.5))
    hook.write(held_out_record(10, loss=4.5))
    hook.close()
    (options,) = service.starts
    folder = Path(options["dir"] if name == "wandb" else options["logdir"])
    assert folder.is_relative_to(run.path), "local files stay in the run directory"
    assert options["project"] == "baby-llama2" and options["resume"] == "allow"
    assert options["name" if name == "wandb" else "experiment_name"] == "debug"
    assert options["config"]["train"]["max_steps"] == 20
    assert len(options["id"]) == ID_LENGTH and options["id"].isalnum()
    assert service.lines[0][1]["train/loss"] == 5.5
    assert service.lines[1] == (10, {"held_out/loss": 4.5, "held_out/bits_per_byte": 2.5})
    assert service.finished == 1


@each_service
def test_no_step_is_sent_twice_after_a_resume(name, service, run):
    """Killed at step 30, again at 25, each time gone on from the checkpoint of step 20."""
    past = [training_record(10), training_record(20), held_out_record(20)]
    for begin, steps_done in (([], (10, 20, 30)), (past, (25,)), (past, (25, 30, 40))):
        hook = SERVICES[name](run, begin)
        for step in steps_done:
            hook.write(training_record(step))
            if step == 20:
                hook.write(held_out_record(step))
    assert steps(service) == [10, 20, 30, 40]
    assert [step for step, data in service.lines if "held_out/loss" in data] == [20]
    assert len({options["id"] for options in service.starts}) == 1, "one run"


@each_service
def test_a_run_that_asks_for_it_later_sends_its_past(name, service, run):
    SERVICES[name](run, [training_record(10), held_out_record(10), training_record(20)])
    assert steps(service) == [10, 20]
    assert json.loads((run.path / f"{name}.json").read_text())["sent"] == [20, False]


@each_service
def test_a_run_that_begins_anew_is_another(name, service, run):
    for _ in range(2):
        SERVICES[name](run, []).write(training_record(10))
    assert steps(service) == [10, 10]
    assert service.starts[0]["id"] != service.starts[1]["id"]


@each_service
def test_a_service_that_does_not_let_one_in(name, service, run):
    def refuse(**options):
        raise RuntimeError("No API key configured.")

    service.init = refuse
    advice = (
        rf"{name} did not start \(No API key .*{name} login, or set {name.upper()}_MODE=offline"
    )
    with pytest.raises(UserError, match=advice):
        SERVICES[name](run, [])


@each_service
def test_its_name_in_a_recipe(name, service, monkeypatch):
    service.__spec__ = types.SimpleNamespace(name=name)
    find_loggers([name])
    assert LOGGERS[name].begin is SERVICES[name]
