"""Killed at any moment and run again, a run ends in the very same weights."""

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

import tiny

STEPS = 60
PRETRAIN = (
    "pretrain --vocabulary 101 --layers 2 --hidden-size 32 --heads 4 --positions 32 --block 16 --batch-size 8 "
    f"--dropout 0.2 --precision fp32 --seed 7 --learning-rate 1e-3 --steps {STEPS} --save-steps 2 --evaluate-every 9"
).split()
DISTILL = (
    "--task classification --layers 1 --batch-size 8 --max-length 32 --dropout 0.2 --precision fp32 --seed 7 "
    f"--learning-rate 1e-3 --steps {STEPS} --save-steps 2 --evaluate-every 5"
).split()


def pretraining(tmp_path, name):
    """The command of a pretraining run in a folder of its own, and its output."""
    text = tmp_path / "text.txt"
    if not text.exists():
        tiny.write_text(text, 150)
    output = tmp_path / name / "model"
    return tiny.command(*PRETRAIN, "--corpus", text, "--output", output), output


def distillation(tmp_path, name):
    """The same of task distillation, with validation and a best checkpoint."""
    if not (tmp_path / "teacher").exists():
        tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification")
        for seed, role in enumerate(("train", "validation", "test")):
            tiny.write_reviews(tmp_path / f"{role}.csv", 160 if role == "train" else 40, seed)
    output = tmp_path / name / "model"
    rows = [f"--{role}={tmp_path / role}.csv" for role in ("train", "validation", "test")]
    return tiny.command("distill", tmp_path / "teacher", *DISTILL, *rows, "--output", output), output


def finish(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stderr


def run_here(cli, command):
    """The same in this process: an uninterrupted run needs none of its own."""
    assert cli(*command[3:]).code == 0


def reached(output: Path) -> int:
    """The last step that a checkpoint was saved at."""
    return max((int(path.name.split("-")[1]) for path in output.glob("work/checkpoint-*")), default=0)


def stop(command, output, step, number, delay=0.0):
    """Run until a step is saved, and a moment longer; then send a signal."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while reached(output) < step:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(number)
    _, messages = process.communicate(timeout=120)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), messages
    assert not (output / "manifest.json").exists() and not (output / "model.safetensors").exists()
    return messages


def trace(output):
    """Scores of all validations by step, and the last training loss, which shows the slightest deviation."""
    entries = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    scores = [(entry["step"], entry["eval_score"]) for entry in entries if "eval_score" in entry]
    losses = [(entry["step"], entry["loss"], entry["grad_norm"]) for entry in entries if "loss" in entry]
    assert len(scores) > 5 and losses[-1][0] == STEPS
    return scores, losses[-1]


def leave_half(output):
    """What a kill in the middle of saving and of logging leaves."""
    half = output / "work" / "saving" / "checkpoint-999"
    half.mkdir(parents=True, exist_ok=True)
    (half / "model.safetensors").write_bytes(b"half of it")
    with (output / "work" / "log.jsonl").open("a") as file:
        file.write('{"step": 12, "lo')


@pytest.mark.parametrize("stage", [pretraining, distillation])
def test_resume_after_kills_gives_the_same_weights(tmp_path, cli, stage):
    command, whole = stage(tmp_path, "whole")
    run_here(cli, command)
    command, output = stage(tmp_path, "killed")
    chance = random.Random()
    steps = sorted(chance.sample(range(1, STEPS - 20), 3))
    for step in steps:
        stop(command, output, step, signal.SIGKILL, delay=chance.uniform(0, 0.05))
        leave_half(output)
    assert "going on from checkpoint-" in finish(command)
    same = (output / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert same, f"weights differ after kills at {steps}"
    assert (output / "tokenizer.json").read_bytes() == (whole / "tokenizer.json").read_bytes()
    assert trace(output) == trace(whole)
    assert not (output / "work").exists()
    corpora = output.parent / "corpora"
    assert stage is distillation or len(list(corpora.iterdir())) == 1


def test_resume_after_sigterm_which_saves_first(tmp_path, cli):
    command, whole = distillation(tmp_path, "whole")
    run_here(cli, command)
    command, output = distillation(tmp_path, "stopped")
    messages = stop(command, output, 7, signal.SIGTERM)
    step = reached(output)
    assert f"stopped by SIGTERM at step {step}" in messages and "Traceback" not in messages
    assert f"going on from checkpoint-{step}" in finish(command)
    assert trace(output) == trace(whole)
    assert (output / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
