"""The feed of on-policy objectives, and its reward on held-out prompts."""

import math
from dataclasses import dataclass

import numpy as np
from mindspore import Callback

from chat.template import ChatTemplate
from common.errors import UserError
from corpus.example_file import open_examples
from model.llama import Llama
from recipe import Recipe
from tokenizer.tokenizer import Tokenizer
from training.feeds.base import Feed
from training.feeds.credit import Credit
from training.feeds.rollouts import (
    Policy,
    Prompts,
    RolloutMaker,
    StepMaker,
    StepRollouts,
    make_policy,
)
from training.initial import Reference
from training.parallel import World, values_of_all

HELD_OUT_SEED = 0
"""Of the held-out samples, the same at each measurement."""


class RolloutFeed(Feed):
    """Rollouts of the step's prompts; positions of a step wait until the step before is done."""

    def __init__(
        self,
        recipe: Recipe,
        maker: RolloutMaker,
        train: Prompts,
        val: Prompts,
        credit: type[Credit],
    ):
        self.recipe, self.maker, self.train, self.val = recipe, maker, train, val
        self.credit, self.columns = credit, credit.columns
        self.updates = recipe.objective.updates
        self.folder = recipe.run_dir / "rollouts"
        self.fingerprint = train.file.fingerprint
        self.rows_per_step = recipe.train.tokens_per_step // recipe.model.max_seq_len
        completions = len(train) * recipe.objective.group
        self.epoch_tokens = completions * recipe.model.max_seq_len * self.updates
        self.steps = StepRollouts()

    def attach(self, network: Llama, reference: Reference | None, world: World) -> None:
        """Let the network in training write the rollouts."""
        if self.rows_per_step % (self.recipe.objective.group * world.size):
            raise UserError(
                f"a step has {self.rows_per_step} rows; with {world.size} ranks it must be a "
                "multiple of objective.group * ranks = "
                f"{self.recipe.objective.group * world.size}"
            )
        super().attach(network, reference, world)
        self.policy = make_policy(network, reference and reference.network)
        credit = self.credit(self.recipe, self.maker.tokenizer.eos_id, world)
        self.step_maker = StepMaker(self.recipe, self.maker, self.train, credit, world)

    def row(self, position):
        """Columns of a row, as the objective takes them."""
        step, place = divmod(position, self.rows_per_step)
        return self.steps.get(step, place // self.world.size)

    def make(self, step: int) -> None:
        """Write the rollouts of a step, or give those of the step before once more.

        On the main thread, whose settings MindSpore knows.
        """
        rows = [] if self.can_resume_from(step) else self.steps.rows
        self.steps.put(step, rows or self.step_maker.make(self.policy, step, self.folder))

    def can_resume_from(self, step):
        """Whether rollouts of its own begin after so many steps: earlier ones are not kept."""
        return step % self.updates == 0

    def description(self):
        """How many prompts there are."""
        left_out = self.train.n_too_long
        too_long = f", {left_out:,} too long and left out" if left_out else ""
        return f"{len(self.train):,} prompts{too_long}; held out: {len(self.val):,}"

    def figures(self):
        """Rewards, entropy, length and the share of finished answers since the last record."""
        return self.step_maker.figures()

    def hooks(self, start_step, max_steps):
        """What makes the rollouts between the steps."""
        return [MakeRollouts(self, start_step, max_steps)]

    def close(self):
        """Let the reading thread go."""
        self.steps.close()

    def held_out_measure(self, objective, batch, world):
        """The reward on held-out prompts."""
        return HeldOutReward(self.maker, self.val, self.policy, world)


class MakeRollouts(Callback):
    """Writes the rollouts of each step when the step before is done."""

    def __init__(self, feed: RolloutFeed, start_step: int, max_steps: int):
        super().__init__()
        self.feed, self.step, self.max_steps = feed, start_step, max_steps
        config = feed.recipe.train
        rows = config.micro_batch * feed.world.size
        self.micro_batches = feed.rows_per_step // rows

    def on_train_begin(self, run_context):
        """Write those of the first step."""
        self.feed.make(self.step)

    def on_train_step_end(self, run_context):
        """Write those of the next step."""
        done = run_context.original_args().cur_step_num
        if done % self.micro_batches == 0:
            self.step += 1
            if self.step < self.max_steps and not run_context.get_stop_requested():
                self.feed.make(self.step)

    def on_train_end(self, run_context):
        """Let the reading thread go: where training stops early, `Model.train` waits for it."""
        self.feed.close()


@dataclass(frozen=True)
class RewardResult:
    """Rewards on held-out prompts."""

    rewards: dict[str, float]
    """the mean of the whole reward and of each part"""

    @property
    def loss(self) -> float:
        """What is lowest for the best model."""
        return -self.rewards["reward"]

    @property
    def measures(self) -> dict[str, float]:
        """The numbers of a record."""
        return self.rewards

    @property
    def bits_per_byte(self) -> float:
        """Not known: no text is predicted."""
        return math.nan

    def describe(self) -> str:
        """The numbers in a line."""
        return "  ".join(f"{n.replace('_', ' ')} {v:.3f}" for n, v in self.rewards.items())


class HeldOutReward:
    """Answers held-out prompts, once each, with the network as it stands."""

    def __init__(self, maker: RolloutMaker, prompts: Prompts, policy: Policy, world: World):
        self.maker, self.prompts, self.policy, self.world = maker, prompts, policy, world

    def evaluate(self, rows: int = 0) -> RewardResult:
        """Rewards of `rows` prompts spread evenly over all; 0: of all. Ranks share them."""
        known = self.prompts.numbers
        rows = min(rows or len(known), len(known))
        numbers = known[np.arange(rows) * len(known) // rows]
        own = numbers[self.world.rank :: self.world.size]
        asked = [self.prompts.read(int(number)) for number in own]
        first = self.world.rank * len(numbers)
        found = self.maker.write(self.policy.decoder, asked, HELD_OUT_SEED, first).scores.means()
        share = len(own) / len(numbers)
        return RewardResult(
            {name: sum(values_of_all(share * v, self.world)) for name, v in found.items()}
        )


def rollout_feed(
    recipe: Recipe, tokenizer: Tokenizer, template: ChatTemplate, credit: type[Credit]
) -> RolloutFeed:
    """The feed of a recipe's tasks; `credit` says what completions are worth.

    Raises:
        UserError: the task files are missing, damaged or made with another tokenizer or template,
            a reward is unknown, the step does not hold whole groups, or a checkpoint would stand
            between two updates on the same completions.
    """
    objective, rows = recipe.objective, recipe.train.tokens_per_step // recipe.model.max_seq_len
    if rows % objective.group:
        raise UserError(
            f"a step has train.tokens_per_step / model.max_seq_len = {rows} rows; it must be a "
            f"multiple of objective.group {objective.group}"
        )
    if recipe.train.save_interval % objective.updates:
        raise UserError(
            f"train.save_interval is {recipe.train.save_interval}; it must be a multiple of "
            f"objective.updates {objective.updates}, since completions are not saved"
        )
    files = open_examples(recipe.data.dir, "task")
    for file in files:
        file.check(tokenizer, template)
    # One place is the document's start, which the decoder reads before an empty text.
    longest = recipe.model.max_seq_len - 1 - objective.max_new_tokens
    train, val = (Prompts(file, longest, recipe.train.seed) for file in files)
    return RolloutFeed(recipe, RolloutMaker(recipe, tokenizer, template), train, val, credit)
