"""What is said before the first step."""

import dataclasses
import types

from model.config import AdapterConfig
from runs.device import explain_device
from tests.training.hooks.cases import prepared_run
from training.banner import banner, parameters_line, time_line
from training.parallel import World


def test_the_lines():
    lines = banner(prepared_run(world=World(0, 1)))
    assert lines[0] == (
        "device CPU (auto: no Ascend and no GPU found), 1 process, products in float32, "
        "all else in float32, plain kernels"
    )
    assert "run: 40 steps of 64 tokens (2 x 2 rows a rank), 2.56 epochs" in lines[4]
    assert lines[5].startswith("memory: about 0.6 GiB a rank, the framework included")
    assert banner(prepared_run(world=World(0, 2)))[0].count("2 ranks") == 1


def test_parameters_split_into_embedding_blocks_and_head():
    # blocks: 2 * 16 * 32 + 3 * 16 * 64 + 2 * 16 in the one block, and 16 of the last norm
    model = prepared_run().model
    assert model.hidden_dim == 64
    blocks = 1024 + 3072 + 32 + 16
    line = f"embedding 1,024 + blocks {blocks:,} + head "
    assert parameters_line(model, AdapterConfig()) == (
        f"parameters: {1024 + blocks:,} = {line}0, it shares the embedding"
    )
    untied = dataclasses.replace(model, tie_embeddings=False)
    assert (
        parameters_line(untied, AdapterConfig()) == f"parameters: {2048 + blocks:,} = {line}1,024"
    )
    # Rank 2 beside 16 -> 16 and 64 -> 16, and the three norms.
    adapter = AdapterConfig(kind="lora", rank=2, targets=["wq", "w2"], train_norms=True)
    assert parameters_line(model, adapter).endswith(
        "it shares the embedding; trained: 272 = low-rank 224 (rank 2 beside wq, w2) + whole 48"
    )


def test_the_time_and_where_it_comes_from():
    # 40 steps of 64 tokens; at 60 % of the peak they take 100 s.
    peak = prepared_run().model.flops_per_token() * 40 * 64 / 60
    line = time_line(prepared_run(peak_flops=peak), [])
    assert line.startswith("time: about 0:01:40 for 40 steps, if they reach 60% (assumed, not")
    line = time_line(prepared_run(peak_flops=peak, native=True), [])
    assert line.startswith("time: about 0:01:20 for 40 steps, if they reach 75% (assumed, not")
    past = [{"step": 10, "mfu": 0.3}, {"step": 10, "val_loss": 1.0}, {"step": 20, "mfu": 0.3}]
    half_done = types.SimpleNamespace(step=20)
    line = time_line(prepared_run(peak_flops=peak, checkpoint=half_done), past)
    assert line.startswith("time: about 0:01:40 for 20 steps, if they reach 30% (as before in")


def test_why_the_device_was_chosen():
    assert explain_device("auto", "CPU") == "auto: no Ascend and no GPU found"
    assert explain_device("auto", "GPU") == "auto: no Ascend found"
    assert explain_device("auto", "Ascend") == "auto: one was found"
    assert explain_device("CPU", "CPU") == "as train.device says"
