"""Rows that the model writes itself: rollouts of prompts, rewarded, for on-policy objectives.

Before each step, on the main thread, the network as it stands answers the step's prompts, several
times each; the rows of the step are these answers. They are a pure function of the weights and of
(seed, step, prompt), so a resumed run makes the same ones.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chat.messages import parse_messages
from chat.template import ChatTemplate
from common.errors import UserError
from corpus.example_file import ExampleFile
from generation.completions import Completion, complete
from generation.decoding import Decoder
from generation.sampling import Sampling
from model.llama import Llama
from recipe import Recipe
from rewards.answer import Answer
from rewards.model import TokenValues
from rewards.weighted import Scores, WeightedReward
from runs.run import LOG
from tokenizer.tokenizer import Tokenizer
from training.feeds.rollout_rows import Credited, write_table
from training.feeds.scorer import TargetLogProbs
from training.heldout import Row
from training.parallel import World

log = logging.getLogger(__name__)

CLOSED_AFTER = 0.5
"""Seconds after which a waiting reader looks whether training has ended."""


@dataclass(frozen=True)
class Policy:
    """What writes and judges the rollouts: the network in training, and its fixed reference."""

    decoder: Decoder
    reference: TargetLogProbs | None
    """None: no penalty on leaving it is asked for"""
    values: TokenValues | None = None
    """None: the network has no value head"""


class Prompts:
    """The prompts of task files, in an order that is a pure function of (seed, position)."""

    def __init__(self, file: ExampleFile, longest: int, seed: int):
        """Prompts of more than `longest` ids are left out.

        Raises:
            UserError: none is short enough.
        """
        lengths = file.lengths().sum(axis=1)
        self.file, self.seed = file, seed
        self.numbers = np.flatnonzero(lengths <= longest)
        self._epoch, self._order = -1, np.empty(0, np.int64)
        self.n_too_long = file.n_examples - len(self.numbers)
        if not len(self.numbers):
            raise UserError(
                f"no prompt of {file.folder} leaves room for objective.max_new_tokens in the "
                "context; lower it, or raise model.max_seq_len"
            )

    def __len__(self) -> int:
        """How many there are."""
        return len(self.numbers)

    def number(self, position: int) -> int:
        """The example at a position of epoch after epoch."""
        epoch, index = divmod(position, len(self.numbers))
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, epoch])
            self._epoch, self._order = epoch, rng.permutation(self.numbers)
        return int(self._order[index])

    def read(self, number: int) -> tuple[list[int], dict]:
        """Ids of a prompt, and its key with the messages under `prompt`."""
        ((ids, _),) = self.file.example(number)
        return ids.tolist(), self.file.key(number)


@dataclass(frozen=True)
class Rollouts:
    """Completions of prompts and what they are worth."""

    completions: list[Completion]
    answers: list[Answer]
    scores: Scores


class RolloutMaker:
    """Writes and scores completions with the network as it stands."""

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, template: ChatTemplate):
        self.tokenizer, self.template, self.config = tokenizer, template, recipe.objective
        self.reward = WeightedReward(recipe.objective.rewards, tokenizer.fingerprint)
        self.rows = recipe.objective.rollout_rows

    def write(
        self, decoder: Decoder, prompts: list[tuple[list[int], dict]], seed: int, first: int = 0
    ) -> Rollouts:
        """Complete and score prompts; the random streams are those of (seed, first), and so on.

        Raises:
            UserError: the model's logits are not finite.
        """
        sampling = Sampling(
            temperature=self.config.temperature,
            top_p=self.config.top_p,
            max_new_tokens=self.config.max_new_tokens,
            seed=seed,
        )
        samples = list(range(first, first + len(prompts)))
        try:
            completions = complete(
                decoder, self.tokenizer, [ids for ids, _ in prompts], sampling,
                self.template.end_ids, samples, self.rows, log_probs=True,
            )  # fmt: skip
        except ValueError as error:
            raise UserError(f"rollouts: {error}") from error
        answers = [self._answer(key, found) for (_, key), found in zip(prompts, completions)]
        return Rollouts(completions, answers, self.reward(answers))

    def _answer(self, key: dict, completion: Completion) -> Answer:
        question = parse_messages(key["prompt"])[-1].content
        rest = {name: value for name, value in key.items() if name != "prompt"}
        return Answer(question, completion.text(self.tokenizer), rest, completion.ended)


class StepRollouts:
    """The rows of one step after another, handed from the main thread to the reading one."""

    def __init__(self):
        self.ready = threading.Condition()
        self.step, self.rows, self.closed = -1, [], False

    def put(self, step: int, rows: list) -> None:
        """Publish the rows of a step."""
        with self.ready:
            self.step, self.rows = step, rows
            self.ready.notify_all()

    def get(self, step: int, index: int):
        """A row of a step, once it is there; some row when training has ended before."""
        with self.ready:
            while self.step < step and not self.closed:
                self.ready.wait(CLOSED_AFTER)
            return self.rows[index]

    def close(self) -> None:
        """Let nobody wait any more."""
        with self.ready:
            self.closed = True
            self.ready.notify_all()


class StepMaker:
    """Makes the rows of a step on one rank, which answers its own share of the prompts."""

    def __init__(
        self,
        recipe: Recipe,
        maker: RolloutMaker,
        prompts: Prompts,
        credit: Callable[[Rollouts, Policy], Credited],
        world: World,
    ):
        self.recipe, self.maker, self.prompts = recipe, maker, prompts
        self.credit, self.world = credit, world
        rows = recipe.train.tokens_per_step // recipe.model.max_seq_len
        self.n_prompts = rows // recipe.objective.group
        """of all ranks in a step"""
        self.sums: dict[str, float] = defaultdict(float)
        self.n_steps = self.failed_steps = 0

    def make(self, policy: Policy, step: int, folder: Path) -> list[Row]:
        """The rows of a step; every now and then they are written down as a table."""
        config, seed = self.recipe.objective, self.recipe.train.seed
        turn, rank = step // config.updates, self.world.rank
        positions = range(rank, self.n_prompts, self.world.size)
        numbers = [self.prompts.number(turn * self.n_prompts + place) for place in positions]
        asked = [self.prompts.read(number) for number in numbers for _ in range(config.group)]
        first = rank * len(asked)
        rolled = self.maker.write(policy.decoder, asked, _seed_of(seed, turn), first)
        credited = self.credit(rolled, policy)
        self._check(rolled.scores, step)
        self._count(rolled, credited.figures)
        if step % config.table_interval < config.updates:
            write_table(folder / f"step_{step:08d}-{rank}.jsonl", rolled, credited.worth)
        return credited.rows

    def figures(self) -> dict[str, float]:
        """Means over the rollouts since the last call; empty if there were none."""
        means = {name: value / self.n_steps for name, value in self.sums.items()}
        self.sums, self.n_steps = defaultdict(float), 0
        return means

    def _check(self, scores: Scores, step: int) -> None:
        """Warn of a step that teaches nothing; refuse to go on after `max_bad_steps` of them."""
        if scores.failed < len(scores.total):
            self.failed_steps = 0
            return
        self.failed_steps += self.recipe.objective.updates
        if self.failed_steps >= self.recipe.train.max_bad_steps:
            raise UserError(
                f"objective.rewards failed on every rollout of {self.failed_steps} steps in a row; "
                f"{self.recipe.run_dir / LOG} says how: correct the reward, and run again to go on"
            )
        log.warning(
            f"no rollout of step {step + 1:,} could be scored; it changes little or nothing"
        )

    def _count(self, rolled: Rollouts, more: dict[str, float]) -> None:
        completions = rolled.completions
        log_probs = np.concatenate([c.log_probs for c in completions])
        found = rolled.scores.means() | {
            "entropy": -float(log_probs.mean()),  # of the sampled ids: an unbiased estimate
            "length": float(np.mean([len(c.ids) for c in completions])),
            "ended": float(np.mean([c.ended for c in completions])),
            **more,
            "failed_rewards": float(rolled.scores.failed),
        }
        for name, value in found.items():
            self.sums[name] += value
        self.n_steps += 1


def make_policy(network: Llama, reference: Llama | None) -> Policy:
    """The policy of a network in training; its decoder reads the weights as they stand."""
    values = TokenValues(network) if network.config.value_head else None
    return Policy(Decoder(network), reference and TargetLogProbs(reference), values)


def _seed_of(seed: int, turn: int) -> int:
    """The seed of the samples of the rollouts of a number."""
    return int(np.random.SeedSequence([seed, turn]).generate_state(1)[0])
