"""MindFormers' Trainer on the CPU: python mindformers_trainer.py RECIPE, in an exported folder.

What in its recipes is for an NPU is changed: the device, the training step, which asks the device
for overflows with an operator that a CPU does not have, and for scale.yaml also bfloat16, flash
attention and data sinking. A reader of Megatron's files is compiled in $LOCAL_DEFAULT_PATH and not
where MindFormers is installed. Reads one step, and leaves its batch in batch.npz.
"""

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import mindspore as ms
import numpy as np
from mindformers import MindFormerConfig, Trainer, build_context
from mindformers.dataset.dataloader import blended_megatron_dataloader as megatron
from mindformers.tools.register import MindFormerModuleType, MindFormerRegister
from mindformers.wrapper import MFTrainOneStepCell
from mindspore import Tensor, ops

HELPERS = "mindformers.dataset.blended_datasets.helpers"

all_finite = ops.MultitypeFuncGraph("all_finite")


@all_finite.register("Tensor")
def _all_finite(gradient):
    return ops.isfinite(gradient).all()


class CpuStep(MFTrainOneStepCell):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.map = ops.HyperMap()

    def start_overflow_check(self, pre_cond, compute_input):
        return Tensor([0] * 8, ms.int32), compute_input

    def get_overflow_status(self, status, compute_output):
        return ops.logical_not(ops.stack(self.map(all_finite, compute_output)).all())


def compile_helpers() -> None:
    import pybind11

    source = Path(megatron.__file__).parent.parent / "blended_datasets" / "helpers.cpp"
    library = Path(os.environ["LOCAL_DEFAULT_PATH"]) / "helpers.so"
    includes = [f"-I{sysconfig.get_path('include')}", f"-I{pybind11.get_include()}"]
    flags = ["-O1", "-shared", "-std=c++17", "-fPIC", *includes]
    subprocess.run(["g++", *flags, str(source), "-o", str(library)], check=True)
    spec = importlib.util.spec_from_file_location(HELPERS, library)
    sys.modules[HELPERS] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[HELPERS])


def read_one_step(config: MindFormerConfig) -> None:
    """Cut the data to one batch, and write that batch to batch.npz."""
    compile_helpers()
    megatron.compile_helpers = lambda: None
    loader = config.train_dataset.data_loader
    loader.sizes = [config.train_dataset.batch_size, 0, 0]
    data = megatron.BlendedMegatronDatasetDataLoader(
        **{k: loader[k] for k in loader if k != "type"}
    )
    rows = list(data.create_dict_iterator(num_epochs=1, output_numpy=True))
    rows = rows[: config.train_dataset.batch_size]
    np.savez("batch.npz", **{name: np.stack([row[name] for row in rows]) for name in rows[0]})


if __name__ == "__main__":
    MindFormerRegister.register_cls(CpuStep, MindFormerModuleType.WRAPPER, "CpuStep")
    config = MindFormerConfig(sys.argv[1])
    config.context.device_target = "CPU"
    config.runner_wrapper.type = "CpuStep"
    if config.runner_config.sink_mode:
        config.runner_config.sink_mode = False
        config.model.model_config.compute_dtype = "float32"
        config.model.model_config.use_flash_attention = False
        config.callbacks = [{"type": "MFLossMonitor"}]
        build_context(config)
        read_one_step(config)
    build_context(config)
    Trainer(config).train()
