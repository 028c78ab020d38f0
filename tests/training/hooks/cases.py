"""A prepared run, what a callback gets, records, and what TensorBoard shows of them."""

import struct
import types
from pathlib import Path

from mindspore import dtype as mstype
from tensorboardX.proto.event_pb2 import Event

from recipe import REPO, load_recipe
from runs.run import Run
from training.parallel import World
from training.prepared import PreparedRun

DEBUG = REPO / "configs" / "debug.yaml"

OPTIONS = (
    *("--model.dim", "16", "--model.n_layers", "1", "--model.n_heads", "2"),
    *("--model.max_seq_len", "16", "--model.vocab_size", "64", "--tokenizer.path", "none"),
    *("--train.max_steps", "40", "--train.tokens_per_step", "64", "--train.micro_batch", "2"),
)


def prepared_run(
    *options: str, world: World | None = None, peak_flops: float = 1e9, **known
) -> PreparedRun:
    """A run of a tiny network for 40 steps of two micro-batches, without data or a directory.

    `known` are attributes that would be measured or looked for, such as `elapsed`.
    """
    recipe = load_recipe(DEBUG, [*OPTIONS, *options])
    feed = types.SimpleNamespace(
        epoch_tokens=1000,
        fingerprint="ids",
        description=lambda: "1,000 training tokens",
        figures=dict,
        can_resume_from=lambda step: step % 2 == 0,
    )
    run = Run(Path("no such folder"), recipe)
    prepared = PreparedRun(run, None, None, feed, "CPU", mstype.float32, world or World())
    vars(prepared).update(peak_flops=peak_flops, **known)
    return prepared


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
