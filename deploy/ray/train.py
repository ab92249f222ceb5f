"""A recipe on the workers of a Ray cluster: ``python deploy/ray/train.py RECIPE --workers 8 --gpu [KEY=VALUE]…``.

Needs ``pip install 'pocketbert[train,ray]' 'ray[train]'`` on all machines, and a folder that all of them share: recipe,
data and runs are looked for at the same paths everywhere. A worker that is lost has the others start again, from the
last checkpoint.
"""

import argparse
import os
from pathlib import Path
from typing import Any

# Read when Ray is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

PATIENCE_SECONDS = 24 * 60 * 60
"""How long workers wait for one of them, which may be tokenising a large corpus."""


def walk(config: dict[str, Any]) -> None:
    """What each worker does, once Ray has joined them."""
    from rich.console import Console

    from pocketbert import pipeline, quiet
    from pocketbert.distill import ranks
    from pocketbert.recipe import load_recipe

    quiet.quieten()
    os.chdir(config["folder"])
    recipe = load_recipe(Path(config["recipe"]), config["overrides"])
    pipeline.run(recipe, console=Console(stderr=True, quiet=not ranks.is_main()))


def main() -> None:
    """Read the arguments, and walk the recipe on the cluster."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpu", action="store_true", help="one a worker")
    parser.add_argument("--failures", type=int, default=3, help="how many lost workers are made good")
    options = parser.parse_intermixed_args()
    ray.init(address=os.environ.get("RAY_ADDRESS"))
    config = {"recipe": options.recipe, "overrides": options.overrides, "folder": str(Path.cwd())}
    trainer = TorchTrainer(
        walk,
        train_loop_config=config,
        torch_config=TorchConfig(backend="nccl" if options.gpu else "gloo", timeout_s=PATIENCE_SECONDS),
        scaling_config=ScalingConfig(num_workers=options.workers, use_gpu=options.gpu),
        run_config=RunConfig(
            storage_path=str(Path("runs/ray").absolute()), failure_config=FailureConfig(max_failures=options.failures)
        ),
    )
    trainer.fit()


if __name__ == "__main__":
    main()
