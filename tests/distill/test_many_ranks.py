"""Two and four ranks train as one does, and a job that lost a rank ends as if it had not."""

import os
import subprocess
import sys
import time
from pathlib import Path

import jobs
import psutil
import torch
from many_ranks import SHAPES, STEPS
from test_resume import distillation, reached

HERE = Path(__file__).parent
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]),
    "CUDA_VISIBLE_DEVICES": "",
    # Restarted ranks would otherwise look for each other where the first ones had been (docs/many-machines.md).
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
}


def start(*arguments):
    """A process without a GPU."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, **ENVIRONMENT},
    )  # fmt: skip


def finish(process):
    _, messages = process.communicate(timeout=300)
    assert process.returncode == 0, messages[-20000:]
    return messages


def test_two_and_four_ranks_are_one(tmp_path):
    """20 steps in fp32, with an uneven last batch in each epoch, and micro-batches of other sizes."""
    finish(start(HERE / "many_ranks.py", tmp_path))
    one = torch.load(tmp_path / "1" / "rank-0.pt", weights_only=False)
    for count in list(SHAPES)[1:]:
        for rank in range(count):
            found = torch.load(tmp_path / str(count) / f"rank-{rank}.pt", weights_only=False)
            for name, (entries, weights) in one.items():
                assert len(entries) == STEPS
                losses, _ = jobs.differences((entries, weights), found[name])
                assert losses < 1e-6 * max(1, entries[0]["loss"]), (count, name)


def launch(command, restarts=0):
    """The command line, on two ranks."""
    return start("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, "--max-restarts", restarts,
                 *command[1:])  # fmt: skip


def kill_a_rank(process, output, step):
    """SIGKILL to the second rank, when a step has been saved."""
    while reached(output) < step:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.001)
    ranks = psutil.Process(process.pid).children()
    (second,) = [rank for rank in ranks if rank.environ()["RANK"] == "1"]
    second.kill()


def short(tmp_path, name):
    """A distillation of a few steps."""
    command, output = distillation(tmp_path, name)
    return [*command, "--steps", "24"], output


def test_a_job_that_lost_a_rank_ends_in_the_same_weights(tmp_path):
    """Restarted by the same command, and once more by torchrun itself."""
    command, whole = short(tmp_path, "whole")
    finish(launch(command))
    command, output = short(tmp_path, "killed")
    process = launch(command)
    kill_a_rank(process, output, 3)
    process.communicate(timeout=120)
    assert process.returncode not in (0, None) and not (output / "manifest.json").exists()
    process = launch(command, restarts=1)
    kill_a_rank(process, output, reached(output) + 6)
    assert "going on from checkpoint-" in finish(process)
    assert (output / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert not (output / "work").exists()
