"""What must hold before a run begins or goes on: data, reference and settings are the same."""

import zlib

from common.errors import UserError
from runs.run import Run
from training.initial import InitialWeights
from training.objectives.registry import STAGES
from training.parallel import values_of_all
from training.prepared import PreparedRun


def check_same_data(prepared: PreparedRun) -> None:
    """Make sure that the place in the data, which a checkpoint holds, still means the same.

    Raises:
        UserError: the training data is other than it was.
    """
    checkpoint, feed = prepared.checkpoint, prepared.feed
    if checkpoint and checkpoint.state().get("data", feed.fingerprint) != feed.fingerprint:
        raise UserError(
            f"{checkpoint.path} was trained on other contents of {prepared.run.recipe.data.dir}; "
            "put the old files back, or go on under another name with --train.init_from "
            f"{checkpoint.path.parent.parent}"
        )


def check_same_start(prepared: PreparedRun) -> None:
    """Make sure that a run that goes on names the model that it began from.

    That model is not read again, so another one would be recorded, and compared with, wrongly. A
    reference is read again, and `check_same_reference` looks at its weights.

    Raises:
        UserError: `train.init_from` names another model than it did.
    """
    objective = prepared.run.recipe.objective
    if not prepared.checkpoint or STAGES[objective.kind].needs_reference(objective):
        return
    began_from = Run.open(prepared.run.path).recipe.train.init_from
    if prepared.config.init_from != began_from:
        raise UserError(
            f"{prepared.run.path} began with train.init_from {began_from or 'null'}, now it is "
            f"{prepared.config.init_from or 'null'}; put the old value back (the model is not read "
            "again and may be gone), or choose another name"
        )


def check_same_reference(prepared: PreparedRun, initial: InitialWeights) -> None:
    """Make sure that the model that the run is measured from is still the one it began from.

    Raises:
        UserError: `train.init_from` holds other weights than it did.
    """
    checkpoint, found = prepared.checkpoint, initial.fingerprint
    if checkpoint and checkpoint.state().get("reference", found) != found:
        raise UserError(
            f"{checkpoint.path} was trained beside another reference than "
            f"{prepared.config.init_from} is now; put its old weights back, or choose another name"
        )


def check_agreement(prepared: PreparedRun) -> None:
    """Make sure that all ranks will do the same, and start from the same step.

    Raises:
        UserError: they see different checkpoints, recipes or data.
    """
    asked = (prepared.model, prepared.config, prepared.feed.fingerprint)
    digest = zlib.crc32(repr(asked).encode()) >> 8  # exact in float32
    for name, value, advice in (
        ("recipe or training file", digest, "give all machines the same options and files"),
        ("step", prepared.start_step, "out_dir must be a folder that all machines share"),
    ):
        values = values_of_all(value, prepared.world)
        other = [rank for rank, each in enumerate(values) if each != values[0]]
        if other:
            raise UserError(f"rank {other[0]} starts from another {name} than rank 0; {advice}")
