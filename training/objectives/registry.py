"""The objectives that a recipe can name: what each reads and what it minimises."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

from chat.template import ChatTemplate
from model.llama import Llama
from recipe import Recipe
from tokenizer.tokenizer import Tokenizer
from training.feeds.actor_critic import ActorCriticCredit
from training.feeds.base import Feed
from training.feeds.credit import GroupCredit
from training.feeds.examples import dialogue_feed
from training.feeds.on_policy import rollout_feed
from training.feeds.pairs import pair_feed
from training.feeds.tokens import token_feed
from training.objectives.base import Objective
from training.objectives.config import ObjectiveConfig
from training.objectives.cross_entropy import NextToken
from training.objectives.direct_preference import DirectPreference
from training.objectives.group_relative import GroupRelative
from training.objectives.pair_reward import PairReward
from training.objectives.proximal_policy import ProximalPolicy

MakeFeed = Callable[[Recipe, Tokenizer, ChatTemplate | None], Feed]
MakeObjective = Callable[[Llama, ObjectiveConfig], Objective]


@dataclass(frozen=True)
class Stage:
    """One way to train: where the rows come from, and what is minimised on them."""

    feed: MakeFeed
    objective: MakeObjective
    needs_reference: Callable[[ObjectiveConfig], bool] = lambda config: False
    """whether the network as it was before the first step is wanted beside the one in training"""


# A new objective is a file beside this one, a line here, and its kind in training/config.py.
STAGES = {
    "pretrain": Stage(token_feed, NextToken),
    "sft": Stage(dialogue_feed, NextToken),
    "dpo": Stage(pair_feed, DirectPreference, lambda config: True),
    "reward": Stage(pair_feed, PairReward),
    "grpo": Stage(
        functools.partial(rollout_feed, credit=GroupCredit),
        GroupRelative,
        lambda config: config.beta > 0,
    ),
    "ppo": Stage(
        functools.partial(rollout_feed, credit=ActorCriticCredit),
        ProximalPolicy,
        lambda config: config.beta > 0,
    ),
}
