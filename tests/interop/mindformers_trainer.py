"""MindFormers' Trainer on the CPU: python mindformers_trainer.py, in an exported folder.

Two things in its recipe are for an NPU and are changed: the device, and the training step, which
asks the device for overflows with an operator that a CPU does not have.
"""

import mindspore as ms
from mindformers import MindFormerConfig, Trainer, build_context
from mindformers.tools.register import MindFormerModuleType, MindFormerRegister
from mindformers.wrapper import MFTrainOneStepCell
from mindspore import Tensor, ops

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


if __name__ == "__main__":
    MindFormerRegister.register_cls(CpuStep, MindFormerModuleType.WRAPPER, "CpuStep")
    config = MindFormerConfig("train.yaml")
    config.context.device_target = "CPU"
    config.runner_wrapper.type = "CpuStep"
    build_context(config)
    Trainer(config).train()
