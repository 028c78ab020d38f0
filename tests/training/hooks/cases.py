"""A plan, what MindSpore hands to a callback, records, and what TensorBoard shows of them."""

import struct
import types
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event

from model.config import ModelConfig
from training.plan import Plan

PLAN = Plan(
    model=ModelConfig(dim=16, n_layers=1, n_heads=2, max_seq_len=16, vocab_size=64),
    max_steps=40,
    tokens_per_step=64,
    micro_batch=2,
    micro_batches=2,
    rows_per_step=4,
    train_tokens=1000,
    val_tokens=100,
    data="ids",
)


class Context:
    """What MindSpore hands to a callback."""

    def __init__(self, passes=0, outputs=(1.0, 2.0, 3.0, 0)):
        self.args = types.SimpleNamespace(cur_step_num=passes, net_outputs=outputs)
        self.stopped = False

    def original_args(self):
        return self.args

    def request_stop(self):
        self.stopped = True


def training_record(step: int, loss: float | None = 5.0) -> dict:
    return {
        "step": step, "tokens": step * 64, "loss": loss, "lr": 1e-3, "grad_norm": 0.5,
        "tokens_per_s": 1000.0, "mfu": 0.5, "elapsed_s": step * 2.0,
    }  # fmt: skip


def held_out_record(step: int, loss: float | None = 4.0) -> dict:
    return {"step": step, "val_loss": loss, "bits_per_byte": 2.5}


def events(run: Path) -> list[Event]:
    """All events of a run; a record is its length, a checksum of that, itself, a checksum."""
    found = []
    for path in sorted((run / "tensorboard").iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def curve(run: Path, tag: str) -> list[tuple[int, float]]:
    return [
        (event.step, value.simple_value)
        for event in events(run)
        for value in event.summary.value
        if value.tag == tag
    ]
