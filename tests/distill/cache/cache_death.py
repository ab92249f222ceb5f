"""Fills a cache and is killed while it does: `cache_death.py FOLDER BATCHES TOP_K`, 0 for all pieces."""

import os
import signal
import sys
from pathlib import Path

import jobs

from pocketbert.distill.cache import asking, filling
from pocketbert.recipe import Losses

LOSSES = Losses(soft_targets=1.0, cosine=1.0)


def job(folder: Path) -> jobs.Job:
    """The run that needs the cache."""
    return jobs.masked_lm_job(folder, LOSSES, batch_size=4, steps=8)


def main(folder: Path, batches: int, top_k: int | None) -> None:
    """Die while a batch is appended, half of its records on the disk."""
    asking.TOKENS_PER_BATCH, filling.FLUSH_SECONDS = 32, 0.0
    extend, calls = filling.Writer._extend, iter(range(10**6))

    def dying(self: filling.Writer, path: Path, values: object) -> None:
        if next(calls) == 3 * batches + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        extend(self, path, values)

    filling.Writer._extend = dying
    jobs.cached(job(folder / "run"), folder / "cache", top_k=top_k)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) or None)
