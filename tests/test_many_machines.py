"""The example for Ray runs, and the SLURM script starts, stops and queues as it says."""

import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import tiny
from pocketbert.manifest import read_manifest

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
OPTIONS = {"steps": 6, "dropout": 0.0, "precision": "fp32", "learning_rate": 1e-4}


@pytest.fixture
def tree(tmp_path):
    """A recipe of one stage."""
    rows = {role: str(tiny.write_reviews(tmp_path / f"{role}.csv", 40, seed))
            for seed, role in enumerate(("train", "validation", "test"))}  # fmt: skip
    return {
        "name": "tiny",
        "teacher": {"model": str(tiny.make_checkpoint(tmp_path / "teacher"))},
        "data": {"task": "classification", **rows, "max_length": 32},
        "stages": [{"finetune": OPTIONS}],
    }


def test_ray_workers_walk_the_recipe(tree, tmp_path, monkeypatch):
    """What Ray is given, and what each worker then does, without a cluster: starting one takes half a minute."""
    pytest.importorskip("ray.train", reason="the extra `ray` is not installed")
    example = runpy.run_path(str(DEPLOY / "ray" / "train.py"))
    given = {}

    class Cluster:
        def __init__(self, work, **settings):
            given.update(settings, work=work)

        def fit(self):
            given["work"](given["train_loop_config"])

    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(tree))
    monkeypatch.setitem(example["main"].__globals__, "TorchTrainer", Cluster)
    monkeypatch.setattr(example["ray"], "init", lambda **_: None)
    monkeypatch.setattr(
        sys, "argv", ["train.py", "recipe.yaml", "--workers", "8", "stages.0.finetune.steps=3", "--gpu"]
    )
    example["main"]()
    scaling, config = given["scaling_config"], given["torch_config"]
    assert (scaling.num_workers, scaling.use_gpu, config.backend) == (8, True, "nccl")
    assert given["run_config"].failure_config.max_failures == 3
    made = read_manifest(tmp_path / "runs" / "tiny" / "01-finetune")
    assert made.metrics["steps"] == 3


SRUN = """#!/bin/bash
echo "$@" >> srun.log
trap 'echo saved >> srun.log; kill $waiting; exit 1' TERM
sleep {seconds} & waiting=$!
wait
exit {code}
"""
SCONTROL = """#!/bin/bash
if [ "$1" = show ]; then printf 'node7\\nnode8\\n'; else echo "$@" >> scontrol.log; fi
"""


@pytest.fixture
def job(tmp_path):
    """Starts the script as SLURM does, with its commands replaced."""

    def submit(seconds, code):
        for name, text in (("srun", SRUN.format(seconds=seconds, code=code)), ("scontrol", SCONTROL)):
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
        slurm = {"SLURM_JOB_ID": "41", "SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_NUM_NODES": "2",
                 "SLURM_GPUS_ON_NODE": "8", "SLURM_CPUS_PER_TASK": "32"}  # fmt: skip
        return subprocess.Popen(
            ["bash", DEPLOY / "slurm" / "run.sbatch", "recipes/task.yaml", "data.train=a b.csv"],
            cwd=tmp_path,
            env={**os.environ, **slurm, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        )

    return submit


@pytest.mark.parametrize("code", [0, 3])
def test_slurm_starts_a_rank_a_gpu_and_ends_as_they_do(job, tmp_path, code):
    assert job(0, code).wait(timeout=20) == code
    (line,) = (tmp_path / "srun.log").read_text().splitlines()
    assert (
        "torchrun --nnodes 2 --nproc-per-node 8 --rdzv-id 41-0 --rdzv-backend c10d --rdzv-endpoint node7:29400" in line
    )
    # A step has one core unless it asks for those of its job.
    assert line.startswith("--kill-on-bad-exit=1 --cpus-per-task 32 torchrun")
    assert line.endswith("-m pocketbert.cli run recipes/task.yaml data.train=a b.csv")
    assert not (tmp_path / "scontrol.log").exists()


def test_slurm_saves_before_the_time_is_up_and_queues_again(job, tmp_path):
    process = job(60, 0)
    while not (tmp_path / "srun.log").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.2)  # until what stands for srun has its trap
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)
    assert (tmp_path / "srun.log").read_text().endswith("saved\n")
    assert (tmp_path / "scontrol.log").read_text() == "requeue 41\n"
