"""What each rank does by DDP, and then sharded; started by ``accelerate launch``, it leaves what it found in a folder.

``accelerate`` shards on GPUs alone. Here the ranks are taken for GPUs, while tensors and gloo stay on the CPU.
"""

import os
import sys
from pathlib import Path
from typing import Any

import jobs
import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from many_ranks import INSIDE, MASKED_LM, NARROW, TASK
from rank_worker import EPOCHS, stop_and_resume
from torch.distributed.tensor import DTensor
from transformers.integrations import is_fsdp_enabled

import tiny
from pocketbert.distill import ranks, sharding
from pocketbert.distill.distillation import distill
from pocketbert.distill.trainer import train
from pocketbert.recipe import Data, DistillStage, Losses, Student

RELATIONS = Losses(relations=1.0)
"""Leaves the head alone, and what follows the queries of the last layer."""
STEPS = {"steps": 6, "batch_size": 4}


def scenarios(folder: Path) -> dict[str, jobs.Job]:
    """Tied weights, projections beside the student, accumulation, and a pass that ends within a layer."""
    return {
        "masked_lm": jobs.masked_lm_job(folder / "masked-lm", MASKED_LM, **STEPS),
        "inside": jobs.masked_lm_job(folder / "inside", INSIDE, shape=NARROW, accumulation=2, **STEPS),
        "relations": jobs.masked_lm_job(folder / "relations", RELATIONS, **STEPS),
        "task": jobs.task_job(folder / "task", "token_classification", TASK, **STEPS),
    }


def run_stage(folder: Path) -> dict[str, Any]:
    """A whole stage with validations, as the command line runs it; its metrics."""
    with ranks.main_first():
        if ranks.is_main():
            tiny.make_checkpoint(folder / "teacher", head="SequenceClassification")
            for seed, role in enumerate(("train", "validation", "test")):
                tiny.write_reviews(folder / f"{role}.csv", 40, seed)
    rows = {role: [str(folder / f"{role}.csv")] for role in ("train", "validation", "test")}
    options = DistillStage(**jobs.OPTIONS, **STEPS, evaluate_every=2)
    data = Data(task="classification", **rows, max_length=32)
    made = distill(options, str(folder / "teacher"), Student(layers=1), folder / "student", data, console=jobs.QUIET)
    return made.metrics


def run_all(folder: Path) -> dict[str, Any]:
    """All there is to find."""
    folder.mkdir(parents=True, exist_ok=True)
    with ranks.main_first():
        prepared = scenarios(folder)
        whole = jobs.masked_lm_job(folder / "whole", MASKED_LM, batch_size=4, **EPOCHS)
    found: dict[str, Any] = {name: jobs.run(job) for name, job in prepared.items()}
    found["metrics"] = run_stage(folder / "stage")
    train(whole)
    found["whole"] = whole.model.state_dict()
    found["resumed"], found["stopped_at"] = stop_and_resume(folder / "stopped", int(os.environ["RANK"]))
    return found


def take_ranks_for_gpus() -> None:
    """Whenever the state of a rank is set up, call it one of several GPUs."""
    set_up = PartialState.__init__

    def renamed(self: PartialState, *args: Any, **kwargs: Any) -> None:
        set_up(self, *args, **kwargs)
        self._shared_state["distributed_type"] = DistributedType.MULTI_GPU

    PartialState.__init__ = renamed


def note_shares(shares: list[float]) -> None:
    """Note how much of the weights each rank holds, whenever they are gathered."""
    gather = sharding.gather

    def noting(whole: torch.nn.Module, sharded: torch.nn.Module) -> None:
        own = [
            weight.data.to_local() if isinstance(weight.data, DTensor) else weight for weight in sharded.parameters()
        ]
        shares.append(sum(map(torch.numel, own)) / sum(map(torch.numel, whole.parameters())))
        gather(whole, sharded)

    sharding.gather = noting


def main(folder: Path) -> None:
    """By DDP, and then sharded."""
    by_ddp = run_all(folder / "ddp")
    shares: list[float] = []
    take_ranks_for_gpus()
    note_shares(shares)
    sharded = run_all(folder / "fsdp")
    found = {"ddp": by_ddp, "fsdp": sharded, "shares": shares, "main_reads_alone": is_fsdp_enabled()}
    torch.save(found, folder / f"rank-{os.environ['RANK']}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
