"""Two ranks that share the student's weights train as two that hold all of them."""

from pathlib import Path

import jobs
import pytest
import torch
from test_many_ranks import HERE, finish, start
from transformers import AutoModelForSequenceClassification

from pocketbert.distill import sharding
from pocketbert.errors import PocketBertError

CONFIG = Path(__file__).resolve().parents[2] / "deploy" / "accelerate" / "fsdp.yaml"
LAUNCH = ("-m", "accelerate.commands.accelerate_cli", "launch", "--config_file", CONFIG, "--num_processes", 2)


def test_a_sharded_run_is_one_that_is_not(tmp_path):
    """By the launcher and configuration of docs/many-machines.md; what each rank does is in ``sharded_ranks``."""
    finish(start(*LAUNCH, HERE / "sharded_ranks.py", tmp_path))
    for rank in range(2):
        found = torch.load(tmp_path / f"rank-{rank}.pt", weights_only=False)
        whole, sharded = found["ddp"], found["fsdp"]
        # ``transformers`` 5.0 gave weights that had not been read to the teachers of all ranks but the first.
        assert not found["main_reads_alone"]
        assert found["shares"] and all(0.49 < share < 0.51 for share in found["shares"])
        for name in ("masked_lm", "inside", "relations", "task"):
            losses, weights = jobs.differences(whole[name], sharded[name])
            assert losses < 1e-5 and weights < 1e-5, name
        # The teacher stays outside: what is saved is a student that loads anywhere, chosen by the same validations.
        assert sharded["metrics"]["best_score"] == whole["metrics"]["best_score"]
        assert sharded["metrics"]["best_step"] == whole["metrics"]["best_step"]
        # Stopped by a signal to one rank, with dropout, it goes on to the same weights.
        assert "stopped by" in sharded["stopped_at"]
        assert jobs.largest_difference(sharded["whole"], sharded["resumed"]) == 0
    student = tmp_path / "fsdp" / "stage" / "student"
    AutoModelForSequenceClassification.from_pretrained(student)
    by_ddp = jobs.weights_of(tmp_path / "ddp" / "stage" / "student")
    assert jobs.largest_difference(by_ddp, jobs.weights_of(student)) < 1e-5
    assert not (student / "work").exists()


@pytest.mark.parametrize("sharded", [True, False])
def test_a_checkpoint_of_the_other_kind_is_refused(tmp_path, sharded):
    (tmp_path / ("optimizer.bin" if sharded else "optimizer.pt")).touch()
    sharding.check_checkpoint(tmp_path, sharded)
    with pytest.raises(PocketBertError, match=f"was saved {'with' if sharded else 'without'} FSDP; go on in the same"):
        sharding.check_checkpoint(tmp_path, not sharded)
