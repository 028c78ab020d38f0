"""pretrain.py, killed with SIGKILL in the middle of writing its second checkpoint."""

import os
import signal
import sys
from pathlib import Path

from recipe import parse_recipe
from runs.environment import prepare_environment


def main() -> None:
    recipe = parse_recipe(sys.argv[1:])
    prepare_environment(Path(recipe.run_dir))
    from runs import checkpoint
    from training import trainer

    write_json, done = checkpoint.write_json, []

    def write_once(path, value):
        if done:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(path)
        write_json(path, value)

    checkpoint.write_json = write_once
    trainer.train(recipe)


if __name__ == "__main__":
    main()
