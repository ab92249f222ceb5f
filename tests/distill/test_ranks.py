"""Two processes that train one model, joined by gloo."""

import os
import subprocess
import sys
from pathlib import Path

import jobs
import pytest
import torch
from rank_worker import MASKED_LM, TASK

import tiny

HERE = Path(__file__).parent


def launch(*arguments):
    """Two ranks on this machine, without a GPU."""
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    """What each of two ranks found."""
    folder = tmp_path_factory.mktemp("ranks")
    launch(HERE / "rank_worker.py", folder)
    return [torch.load(folder / f"rank-{rank}.pt", weights_only=False) for rank in (0, 1)]


def test_two_ranks_are_one_with_the_doubled_batch_in_masked_lm(tmp_path, two_ranks):
    one = jobs.run(jobs.masked_lm_job(tmp_path, MASKED_LM, batch_size=8, steps=6))
    for found in two_ranks:
        losses, weights = jobs.differences(one, found["masked_lm"])
        assert losses < 1e-5 and weights < 1e-6


def test_two_ranks_are_one_with_the_doubled_batch_in_a_task(tmp_path, two_ranks):
    one = jobs.run(jobs.task_job(tmp_path, "token_classification", TASK, batch_size=8, steps=6))
    for found in two_ranks:
        losses, weights = jobs.differences(one, found["task"])
        assert losses < 1e-5 and weights < 1e-6


def test_ranks_end_a_budget_together(two_ranks):
    first, second = two_ranks
    assert first["steps"] == second["steps"] > 1
    assert jobs.largest_difference(first["timed"], second["timed"]) == 0


def test_ranks_stop_together_and_resume_in_the_right_epoch(two_ranks):
    for found in two_ranks:
        assert "stopped by" in found["stopped_at"]
        assert jobs.largest_difference(found["whole"], found["resumed"]) == 0


def test_ranks_share_tokenizer_corpus_and_folder(tmp_path):
    """The whole stage by the command line, against one process with the doubled batch."""
    text = tiny.write_text(tmp_path / "text.txt", 100)
    options = [
        "pretrain",
        "--vocabulary",
        "101",
        "--layers",
        "2",
        "--hidden-size",
        "32",
        "--heads",
        "4",
        "--positions",
        "32",
        "--block",
        "16",
        "--dropout",
        "0",
        "--precision",
        "fp32",
        "--learning-rate",
        "1e-4",
        "--steps",
        "6",
        "--evaluate-every",
        "3",
        "--save-steps",
        "2",
    ]
    done = launch(
        "-m", "pocketbert.cli", *options, "--corpus", text, "--batch-size", 4, "--output", tmp_path / "2" / "m"
    )
    assert done.stdout.count("made by pretrain") == 1 and done.stderr.count("learning a vocabulary") == 1
    alone = tiny.call(*options, "--corpus", text, "--batch-size", "8", "--output", tmp_path / "1" / "m")
    assert alone.returncode == 0, alone.stderr
    both, one = (jobs.weights_of(tmp_path / ranks / "m") for ranks in "21")
    assert jobs.largest_difference(both, one) < 1e-6
    assert not (tmp_path / "2" / "m" / "work").exists()
