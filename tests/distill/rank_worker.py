"""What each rank runs; started by torchrun, it leaves what it found in a folder."""

import sys
from dataclasses import replace
from pathlib import Path

import jobs
import torch

from pocketbert.distill import ranks
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
    # One of the ranks asks the teacher, both read.
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
