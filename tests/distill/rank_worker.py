"""What each rank runs; started by torchrun, it leaves what it found in a folder."""

import sys
from dataclasses import replace
from pathlib import Path

import jobs
import torch

from pocketbert.distill import ranks
from pocketbert.distill.cache import asking
from pocketbert.distill.trainer import train
from pocketbert.errors import Interrupted
from pocketbert.recipe import Losses

MASKED_LM = Losses(soft_targets=5.0, masked_lm=2.0, cosine=1.0)
TASK = Losses(soft_targets=1.0, labels=0.5, cosine=0.1)
COSINE = Losses(cosine=1.0)
"""Leaves the head of the model without a gradient."""
EPOCHS = {"documents": 12, "steps": 20, "dropout": 0.2}
"""Two or three epochs, with dropout."""


def main(folder: Path) -> None:
    """All scenarios, one after the other."""
    folder.mkdir(exist_ok=True)
    rank = 0 if ranks.is_main() else 1
    with ranks.main_first():
        masked_lm = jobs.masked_lm_job(folder / "masked-lm", MASKED_LM, batch_size=4, steps=6)
        task = jobs.task_job(folder / "task", "token_classification", TASK, batch_size=4, steps=6)
        cosine = jobs.masked_lm_job(folder / "cosine", COSINE, batch_size=4, steps=6, weight_decay=0.1)
        whole = jobs.masked_lm_job(folder / "whole", MASKED_LM, batch_size=4, **EPOCHS)
        timed = jobs.masked_lm_job(folder / "timed", MASKED_LM, batch_size=4, budget=1)
        cached = jobs.masked_lm_job(folder / "cached", MASKED_LM, batch_size=4, steps=6)
    # Each asks its own teacher about every second batch.
    asking.TOKENS_PER_BATCH = 32
    cached = jobs.cached(cached, folder / "said")
    found = {
        "masked_lm": jobs.run(masked_lm),
        "cached": jobs.run(cached),
        "task": jobs.run(task),
        "cosine": jobs.run(cosine),
        "steps": train(timed)["steps"],
        "timed": timed.model.state_dict(),
    }
    train(whole)
    found["whole"] = whole.model.state_dict()
    found["resumed"], found["stopped_at"] = stop_and_resume(folder / "stopped", rank)
    found["filling_stopped"] = stop_filling(folder, rank)
    torch.save(found, folder / f"rank-{rank}.pt")


def stop_and_resume(folder: Path, rank: int) -> tuple[dict[str, torch.Tensor], str]:
    """A signal that reaches one rank only, in the second epoch."""
    with ranks.main_first():
        job = jobs.masked_lm_job(folder, MASKED_LM, batch_size=4, **EPOCHS)
    if rank == 1:
        jobs.stop_at(job, 12)
    message = ""
    try:
        train(job)
    except Interrupted as stopped:
        message = str(stopped)
    with ranks.main_first():
        again = jobs.masked_lm_job(folder, MASKED_LM, batch_size=4, **EPOCHS)
    train(replace(again))
    return again.model.state_dict(), message


def stop_filling(folder: Path, rank: int) -> str:
    """A signal that reaches one rank only, while both ask; what they were told is there for the next run."""
    with ranks.main_first():
        job = jobs.masked_lm_job(folder / "filling", MASKED_LM, batch_size=4, steps=6)
    if rank == 1:
        jobs.stop_at(job, 1)
    try:
        jobs.cached(job, folder / "half-said")
    except Interrupted as stopped:
        message = str(stopped)
    jobs.cached(job, folder / "half-said")
    return message


if __name__ == "__main__":
    main(Path(sys.argv[1]))
