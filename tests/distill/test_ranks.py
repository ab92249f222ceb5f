"""Two processes that train one model, joined by gloo."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jobs
import torch
from rank_worker import COSINE, MASKED_LM, TASK

import tiny
from pocketbert.distill.cache import asking

HERE = Path(__file__).parent


def launch(*arguments):
    """Two ranks on this machine, without a GPU."""
    path = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done


def shards(folder):
    """All that a cache keeps; its index alone tells of times."""
    return {path.name: path.read_bytes() for path in folder.glob("*.bin")}


def test_two_ranks_are_one_with_the_doubled_batch(tmp_path, monkeypatch):
    """All in one test, for starting ranks takes longer than what they do."""
    done = launch(HERE / "rank_worker.py", tmp_path / "two")
    assert "find_unused_parameters" not in done.stderr
    first, second = (torch.load(tmp_path / "two" / f"rank-{rank}.pt", weights_only=False) for rank in (0, 1))

    masked_lm = jobs.run(jobs.masked_lm_job(tmp_path / "masked-lm", MASKED_LM, batch_size=8, steps=6))
    task = jobs.run(jobs.task_job(tmp_path / "task", "token_classification", TASK, batch_size=8, steps=6))
    cosine = jobs.run(jobs.masked_lm_job(tmp_path / "cosine", COSINE, batch_size=8, steps=6, weight_decay=0.1))
    cached = jobs.masked_lm_job(tmp_path / "cached", MASKED_LM, batch_size=8, steps=6)
    cached = jobs.run(jobs.cached(cached, tmp_path / "said"))
    for found in (first, second):
        for name, one in (("masked_lm", masked_lm), ("task", task), ("cosine", cosine), ("cached", cached)):
            losses, weights = jobs.differences(one, found[name])
            assert losses < 1e-6 * max(1, one[0][0]["loss"]) and weights < 1e-6, name

    # What two were told is kept as one would have kept it, byte for byte; a signal to one of them loses none of it.
    monkeypatch.setattr(asking, "TOKENS_PER_BATCH", 32)
    jobs.cached(jobs.masked_lm_job(tmp_path / "again", MASKED_LM, batch_size=8, steps=6), tmp_path / "alone")
    for folder in ("said", "half-said"):
        assert shards(tmp_path / "two" / folder) == shards(tmp_path / "alone")
    for found in (first, second):
        assert re.match(
            r"stopped by SIGTERM with the teacher's word on 4 of \d+ samples; it is kept", found["filling_stopped"]
        )

    # A budget ends at the same step for both, whose clocks differ.
    assert first["steps"] == second["steps"] > 1
    assert jobs.largest_difference(first["timed"], second["timed"]) == 0

    # A signal to one of them stops both, and they go on in the right epoch.
    for found in (first, second):
        assert "stopped by" in found["stopped_at"]
        assert jobs.largest_difference(found["whole"], found["resumed"]) == 0


def test_ranks_share_tokenizer_corpus_and_folder(tmp_path, cli):
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
    alone = cli(*options, "--corpus", text, "--batch-size", "8", "--output", tmp_path / "1" / "m")
    assert alone.code == 0, alone.err
    both, one = (jobs.weights_of(tmp_path / ranks / "m") for ranks in "21")
    assert jobs.largest_difference(both, one) < 1e-6
    assert not (tmp_path / "2" / "m" / "work").exists()
