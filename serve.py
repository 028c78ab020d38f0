"""Serve runs to other programs: python serve.py [--run out/demo] [--web] [--help]."""

from pathlib import Path

from common.errors import run_main
from common.logs import set_up_logging
from recipe import Recipe
from runs.environment import prepare_environment
from serving.options import parse_options


def main() -> int:
    """Answer requests in the form of OpenAI's interface until Ctrl-C."""
    options = parse_options(description=__doc__)
    run = options.runs[0] if options.runs else Path(Recipe.out_dir)
    prepare_environment(run, serves=True)
    # MindSpore reads its environment when it is imported.
    from runs.run import newest_run
    from serving.server import Server

    set_up_logging()
    server = Server(options.runs or [newest_run(Recipe.out_dir)], options)
    server.run(f"serving {', '.join(server.models)} at {server.address}/v1; Ctrl-C ends")
    return 0


if __name__ == "__main__":
    run_main(main)
