r"""A distillation step against the original recipe's: BERT-base teaches DistilBERT, random weights.

    python benchmarks/train_step.py --rounds 3

On text, 16 blocks of 128 tokens a step; and on the rows of SST-2, 32 a step; on a GPU, 256 of each. Both ways run in
processes of their own and take turns, warmed up, round by round of the same work. Printed with it: the share of the
fastest matrix product of this device that ours reaches, the peak of memory, and the losses, in which both ways have to
agree. The goals, and with them the headline, are for CPUs.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from common import call, compare_rounds, console, make_parser, measure_in_turn, print_table, write_result
from devices import PRODUCT, product_speed, release_memory, training_device
from pocketbert.distill.precision import torch_dtype
from pocketbert.machine import describe_machine
from processes import Worker
from step_ways import Round, Work, check_losses, compare_losses, serve

GOALS = {"text": 8.0, "rows": 6.0}
BATCHES = {"cpu": {"text": 16, "rows": 32}, "cuda": {"text": 256, "rows": 256}}
"""Sequences of a step: those of the goals, and what fills a GPU."""
TEXT_STEPS = 8
MASKED = 0.15
SHORT = {"width": 64, "layers": (2, 1)}
SHORT_STEPS = 4


def main() -> None:
    """Time both ways on both kinds of work and print what came of it."""
    flags = _flags()
    device = training_device()
    rows = [_measure(kind, flags, device) for kind in flags.kinds]
    headline = min(row["faster"] / GOALS[row["kind"]] for row in rows) if _has_goals(flags, device) else None
    if headline is not None:
        console.print(f"smaller of the ratios over their goals: {headline:.2f}")
    unit = "least of (times faster than the reference) / goal, goals 8 on text and 6 on rows, on a CPU"
    write_result(flags.json, "train_step", headline, unit, rows)


def _flags() -> argparse.Namespace:
    parser = make_parser(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of each way, in turn")
    parser.add_argument("--kinds", nargs="+", choices=list(GOALS), default=list(GOALS), help="what is timed")
    parser.add_argument("--row-steps", type=int, default=50, metavar="N", help="steps of a round on rows")
    parser.add_argument("--batch-size", type=int, metavar="N", help="sequences of a step, instead of those above")
    return parser.parse_args()


def _has_goals(flags: argparse.Namespace, device: torch.device) -> bool:
    return device.type == "cpu" and flags.batch_size is None


def choose_work(kind: str, flags: argparse.Namespace, device: torch.device) -> Work:
    """What a round of a kind is made of on a device."""
    sizes: dict[str, Any] = SHORT if flags.short else {}
    steps = SHORT_STEPS if flags.short else {"text": TEXT_STEPS, "rows": flags.row_steps}[kind]
    return Work(kind, batch_size=flags.batch_size or BATCHES[device.type][kind], steps=steps, **sizes)


def _measure(kind: str, flags: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    work = choose_work(kind, flags, device)
    with tempfile.TemporaryDirectory() as folder:
        losses = compare_losses(work, Path(folder))
    check_losses(losses)
    release_memory(device)
    seconds, last = _time_in_turn(work, flags.rounds)
    step = median(seconds["ours"])
    row: dict[str, Any] = {
        "kind": kind,
        "device": device.type,
        "batch_size": work.batch_size,
        "faster": compare_rounds(seconds["reference"], seconds["ours"]),
        "rounds": [r / o for r, o in zip(seconds["reference"], seconds["ours"], strict=True)],
        "seconds": {way: median(values) for way, values in seconds.items()},
        "samples_per_second": work.batch_size / step,
        "memory_bytes": {way: found.memory for way, found in last.items()},
        "precision": {way: found.precision for way, found in last.items()},
        "losses": losses,
    }
    if kind == "text":
        row |= share_of_ceiling(work, step, product_speed(device, torch_dtype(last["ours"].precision)))
    _print(work, row, _has_goals(flags, device))
    return row


def _time_in_turn(work: Work, rounds: int) -> tuple[dict[str, list[float]], dict[str, Round]]:
    """Seconds of a step in each round, and the last round, of each way."""
    workers = {way: Worker(way, serve, way, work) for way in ("reference", "ours")}
    last: dict[str, Round] = {}

    def ask(way: str) -> float:
        last[way] = workers[way].ask()
        return step_seconds(work.kind, last[way].seconds)

    for way in workers:
        ask(way)  # the first steps allocate and choose kernels
    found = measure_in_turn({way: lambda way=way: ask(way) for way in workers}, rounds)
    for worker in workers.values():
        worker.end()
    return found, last


def step_seconds(kind: str, seconds: Sequence[float]) -> float:
    """What a step of a round took: blocks of text are alike; the rows of a task are not, so that all of them count."""
    return median(seconds[1:]) if kind == "text" else sum(seconds) / len(seconds)


def share_of_ceiling(work: Work, seconds: float, ceiling: float) -> dict[str, float]:
    """Tokens a second, and the share of a ceiling (operations a second) that they amount to."""
    return {
        "tokens_per_second": work.batch_size * work.tokens / seconds,
        "ceiling_flops": ceiling,
        "share_of_ceiling": operations(work) / seconds / ceiling,
    }


def operations(work: Work, vocabulary: int = 30522) -> float:
    """Floating-point operations of our step: products of matrices, two for each multiplication and addition.

    The teacher runs forward, the student forward and, at twice that, backward; both heads at the masked positions.
    """
    positions = work.batch_size * work.tokens
    layer = 12 * work.width**2 + 2 * work.tokens * work.width
    head = MASKED * (work.width**2 + vocabulary * work.width)
    return 2.0 * positions * ((work.layers[0] * layer + head) + 3 * (work.layers[1] * layer + head))


def _print(work: Work, row: dict[str, Any], has_goals: bool) -> None:
    seconds, memory = row["seconds"], row["memory_bytes"]
    header = ["way", "precision", "ms a step", "peak memory"]
    lines = [
        [way, row["precision"][way], f"{seconds[way] * 1000:,.0f}", f"{memory[way] / 2**30:.2f} GiB"] for way in seconds
    ]
    what = f"{work.batch_size} × {work.tokens} tokens of text" if work.kind == "text" else f"{work.batch_size} rows"
    machine = describe_machine()
    print_table(f"{what}, {machine.gpu or machine.cpu}", header, lines)
    rounds = ", ".join(f"{value:.2f}" for value in row["rounds"])
    goal = f"; goal {GOALS[work.kind]:g}" if has_goals else ""
    console.print(f"ours is {row['faster']:.2f} times faster (rounds {rounds}{goal})")
    if "share_of_ceiling" in row:
        size = PRODUCT[row["device"]]
        console.print(
            f"{row['tokens_per_second']:,.0f} tokens/s, {row['share_of_ceiling']:.0%} of "
            f"{row['ceiling_flops'] / 1e9:,.0f} GFLOP/s, a product of {size} × {size} in {row['precision']['ours']}"
        )
    else:
        console.print(f"{row['samples_per_second']:,.0f} rows/s")
    for name, (expected, found) in row["losses"].items():
        console.print(f"  {name}: reference {expected:.5f}, ours {found:.5f}")


if __name__ == "__main__":
    call(main)
