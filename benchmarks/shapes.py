"""The options of one timed shape, shared by our side and the peers."""

import argparse

WARM_UP = 2
"""Steps before the timed ones: the first compiles."""
DEFAULTS = {
    "dim": 288, "layers": 6, "heads": 6, "vocab": 5000, "seq": 256, "batch": 8, "steps": 10,
}  # fmt: skip


def parse_shape() -> argparse.Namespace:
    """Read `--dim`, `--layers`, ... and `--compile` from the command line."""
    parser = argparse.ArgumentParser()
    for name, default in DEFAULTS.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--accumulate", type=int, default=1, help="micro-batches a step")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--rank", type=int, default=0, help="of a LoRA; 0: all weights train")
    parser.add_argument("--compile", action="store_true", help="PyTorch: torch.compile")
    return parser.parse_args()
