"""Held-out loss after equal time, ours against PyTorch: python -m benchmarks.time_to_quality.

One contender after another trains on the token files of a recipe, each in a process of its own
that has `--minutes` from its start to its end: imports, compilation and, of ours, evaluations and
checkpoints count. Ours must say beforehand where it ends, and the machine's speed drifts; the
peers then get the minutes that it took. Then our evaluation scores all their weights on the whole
held-out file.

ours   pretrain.py; a short run before shows how many steps fit, and so where its schedule ends
usual  PyTorch, compiled, with learning rate 3e-4, 1,000 steps of warm-up and 32 rows a step
tuned  the same with --peer-lr, --peer-warmup and --peer-batch
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from common.errors import UserError, run_main
from corpus.token_file import open_split
from corpus.vocabulary import tokenizer_for
from recipe import DEMO, REPO, Recipe, load_recipe
from runs.environment import prepare_environment

CONTENDERS = ("ours", "usual", "tuned")
USUAL = {"lr": 3e-4, "warmup": 1000, "batch": 32}
PILOT_INTERVAL = 5
"""Steps between the log lines that the speed is taken from."""
SHARE = 0.98
"""Of the steps that fit at the pilot's speed: evaluations and checkpoints take time too."""


@dataclass
class Trained:
    """What a contender made of its time."""

    name: str
    weights: Path
    steps: int
    tokens: int
    minutes: float


def main() -> int:
    """Train the contenders, score them and print a line each."""
    args = parse_options()
    recipe = load_recipe(args.config)
    prepare_environment(Path(recipe.out_dir))
    tuned = {"lr": args.peer_lr, "warmup": args.peer_warmup, "batch": args.peer_batch}
    with tempfile.TemporaryDirectory() as folder:
        work, results, minutes = Path(folder), [], args.minutes
        for name in args.contenders:
            if name == "ours":
                trained = train_ours(args, work)
                minutes = trained.minutes
            else:
                settings = USUAL if name == "usual" else tuned
                trained = train_peer(name, settings, args, minutes, work)
            results.append(trained)
            print(f"{name}: {trained.steps:,} steps in {trained.minutes:.2f} minutes", flush=True)
        for trained in results:
            result = score(recipe, trained)
            print(
                f"  {trained.name:6s} {result.bits_per_byte:.3f} bits/byte  loss {result.loss:.3f}"
                f"  {trained.steps:,} steps, {trained.tokens:,} tokens, "
                f"{trained.minutes:.2f} minutes"
            )
    return 0


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=DEMO, help="recipe; its data must exist")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--pilot-steps", type=int, default=60, help="ours: steps of the short run")
    parser.add_argument("--peer-lr", type=float, default=2e-3)
    parser.add_argument("--peer-warmup", type=int, default=60)
    parser.add_argument("--peer-batch", type=int, default=8, help="rows a step")
    parser.add_argument("--peer-eager", action="store_true", help="without torch.compile")
    # MindSpore, which this process imports later, gives it OMP_NUM_THREADS=1: one core for a peer.
    parser.set_defaults(environment=dict(os.environ))
    return parser.parse_args()


def train_ours(args: argparse.Namespace, work: Path) -> Trained:
    """Our run of as many steps as fit, according to a short run before."""
    options = ["--train.log_interval", str(PILOT_INTERVAL)]
    seconds = pretrain(args, work, "pilot", args.pilot_steps, options)
    from runs.checkpoint import WEIGHTS  # imports MindSpore
    from runs.run import Run

    pilot = Run.open(work / "pilot")
    tokens = pilot.recipe.train.tokens_per_step
    step = median(tokens / r["tokens_per_s"] for r in pilot.metrics() if "tokens_per_s" in r)
    start_up = seconds - args.pilot_steps * step
    steps = int(SHARE * (60 * args.minutes - start_up) / step)
    if steps < 1:
        raise UserError(
            f"ours needs {start_up:.0f} s to start and {step:.2f} s a step; raise --minutes"
        )
    seconds = pretrain(args, work, "ours", steps)
    weights = Run.open(work / "ours").newest_checkpoint().path / WEIGHTS
    return Trained("ours", weights, steps, steps * tokens, seconds / 60)


def pretrain(args: argparse.Namespace, work: Path, name: str, steps: int, options=()) -> float:
    """Run the product; returns the seconds it took."""
    command = [str(REPO / "pretrain.py"), "--config", str(args.config), "--out_dir", str(work)]
    command += ["--name", name, "--train.max_steps", str(steps), *options]
    start = time.time()
    run(command, args.environment)
    return time.time() - start


def train_peer(
    name: str, settings: dict, args: argparse.Namespace, minutes: float, work: Path
) -> Trained:
    """The peer's run until the minutes are up."""
    start, weights = time.time(), work / f"{name}.safetensors"
    command = ["-m", "benchmarks.time_to_quality_torch", "--config", str(args.config)]
    command += ["--until", str(start + 60 * minutes), "--output", str(weights)]
    for option, value in settings.items():
        command += [f"--{option}", str(value)]
    command += ["--compile"] * (not args.peer_eager)
    measured = json.loads(run(command, args.environment).splitlines()[-1])
    return Trained(name, weights, measured["steps"], measured["tokens"], (time.time() - start) / 60)


def run(command: list[str], environment: dict[str, str]) -> str:
    """Run a contender with the environment that the benchmark began with; returns its output.

    Raises:
        UserError: it failed; its last words are quoted.
    """
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, encoding="utf-8", env=environment
    )
    if done.returncode != 0:
        raise UserError(f"{command[0]} failed: {(done.stdout + done.stderr).strip()[-2000:]}")
    return done.stdout


def score(recipe: Recipe, trained: Trained):
    """Our evaluation of a contender's weights on the whole held-out file, a HeldOutResult.

    The peer looks across document boundaries, as it did in training, whatever the recipe says.
    """
    # MindSpore reads its environment when it is imported.
    from model.llama import Llama
    from runs.checkpoint import load_parameters
    from runs.device import select_device
    from training.feeds.tokens import FileRows
    from training.heldout import HeldOut
    from training.objectives.cross_entropy import NextToken
    from training.trainer import fit_vocabulary

    select_device("CPU")
    tokenizer = tokenizer_for(recipe.tokenizer, recipe.data)
    model = fit_vocabulary(recipe.model, tokenizer)
    mask = model.document_mask and trained.name == "ours"
    network = Llama(replace(model, document_mask=mask), seed=None)
    load_parameters(trained.weights, list(network.get_parameters()))
    _, held_out = open_split(recipe.data.dir)
    rows = FileRows(held_out, network.config.max_seq_len, tokenizer.eos_id)
    return HeldOut(NextToken(network), rows, recipe.train.micro_batch).evaluate()


if __name__ == "__main__":
    run_main(main)
