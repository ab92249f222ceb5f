"""The same training on one, two and four ranks; each leaves what it found in a folder.

Ranks are forked, for importing torch takes longer than what they do; torchrun starts them in ``test_ranks``.
"""

import os
import socket
import sys
from multiprocessing import get_context
from pathlib import Path

import jobs
import torch

from pocketbert.distill import ranks
from pocketbert.recipe import Losses, Student

STEPS = 20
SHAPES = {1: (16, 1), 2: (4, 2), 4: (2, 2)}
"""Ranks → batch size and accumulation: 16 sequences a step each."""
MASKED_LM = Losses(soft_targets=5.0, masked_lm=2.0, cosine=1.0)
INSIDE = Losses(hidden=0.1, embeddings=0.1, attention_scores=0.01, relations=1.0, masked_lm=0.1)
NARROW = Student(architecture="bert", layers=1, hidden_size=16, heads=4)
"""Whose states are projected to the teacher's width."""
TASK = Losses(soft_targets=1.0, labels=0.5, cosine=0.1)


def scenarios(folder: Path, batch_size: int, accumulation: int) -> dict[str, jobs.Job]:
    """Jobs of several epochs whose last batch is uneven: 16 divides neither the blocks nor the rows."""
    how = {"steps": STEPS, "batch_size": batch_size, "accumulation": accumulation}
    found = {
        "masked_lm": jobs.masked_lm_job(folder / "masked-lm", MASKED_LM, documents=43, **how),
        "inside": jobs.masked_lm_job(folder / "inside", INSIDE, documents=43, shape=NARROW, **how),
        "task": jobs.task_job(folder / "task", "token_classification", TASK, rows=75, **how),
    }
    for job in found.values():
        assert len(job.data) % 16 and 2 * len(job.data) < 16 * STEPS, len(job.data)
    return found


def work(folder: Path, rank: int, port: int, count: int) -> None:
    """What one rank does."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with ranks.main_first():
        found = scenarios(folder, *SHAPES[count])
    torch.save({name: jobs.run(job) for name, job in found.items()}, folder / f"rank-{rank}.pt")


def main(folder: Path) -> None:
    """All numbers of ranks, one after the other."""
    for count in SHAPES:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        place = folder / str(count)
        place.mkdir(parents=True)
        workers = [get_context("fork").Process(target=work, args=(place, rank, port, count)) for rank in range(count)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if any(worker.exitcode for worker in workers):
            sys.exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
