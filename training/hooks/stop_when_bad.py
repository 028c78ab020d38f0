"""The end of a run that went bad."""

from common.errors import UserError
from training.hooks.base import StepCallback
from training.hooks.save import Save
from training.prepared import PreparedRun


class StopWhenBad(StepCallback):
    """Save and end the run when too many steps in a row had a gradient that is not finite."""

    def __init__(self, prepared: PreparedRun, save: Save):
        super().__init__(prepared)
        self.limit, self.save = prepared.config.max_bad_steps, save

    def on_step(self, step, outputs, run_context):
        """Count what `TrainStep` counted; reading it only now and then keeps devices busy.

        Raises:
            UserError: the limit is reached; the weights are those before the first bad step.
        """
        if self.is_due(step, self.limit) and int(outputs[3]) >= self.limit:
            self.save.save_now(step)
            raise UserError(
                f"the gradient was not finite in {int(outputs[3])} steps in a row up to step "
                f"{step}; the weights from before them are saved; run again with a lower "
                "train.learning_rate, or in float32"
            )
