r"""A distillation step against the original recipe's: BERT-base teaches DistilBERT, random weights.

    python benchmarks/train_step.py --rounds 3

On text, 16 blocks of 128 tokens a step; and on the rows of SST-2, 32 a step. Both ways run in processes of their own
and take turns, step by step of the same work. Printed with it: the share of the fastest matrix product of this machine
that ours reaches, the peak of memory, and whether both ways compute the same losses.
"""

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from common import call, compare_rounds, console, make_parser, measure_in_turn, print_table, write_result
from pocketbert.distill.precision import fastest_precision, torch_dtype
from pocketbert.machine import describe_machine
from step_ways import Work, compare_losses, serve

GOALS = {"text": 8.0, "rows": 6.0}
MASKED = 0.15
SHORT = {"width": 64, "layers": (2, 1)}


def main() -> None:
    """Time both ways on both kinds of work and print what came of it."""
    flags = _flags()
    rows = [_measure(kind, flags) for kind in flags.kinds]
    headline = min(row["faster"] / GOALS[row["kind"]] for row in rows)
    console.print(f"smaller of the ratios over their goals: {headline:.2f}")
    unit = "least of (times faster than the reference) / goal, goals 8 on text and 6 on rows"
    write_result(flags.json, "train_step", headline, unit, rows)


def _flags() -> argparse.Namespace:
    parser = make_parser(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of each way, in turn")
    parser.add_argument("--kinds", nargs="+", choices=list(GOALS), default=list(GOALS), help="what is timed")
    parser.add_argument("--row-steps", type=int, default=50, metavar="N", help="steps of a round on rows")
    return parser.parse_args()


def _work(kind: str, flags: argparse.Namespace) -> Work:
    sizes: dict[str, Any] = SHORT if flags.short else {}
    if kind == "text":
        return Work(kind, batch_size=16, steps=3, **sizes)
    return Work(kind, batch_size=32, steps=4 if flags.short else flags.row_steps, **sizes)


def _measure(kind: str, flags: argparse.Namespace) -> dict[str, Any]:
    work = _work(kind, flags)
    with tempfile.TemporaryDirectory() as folder:
        losses = compare_losses(work, Path(folder))
    seconds, memory = _time_in_turn(work, flags.rounds)
    ratio = compare_rounds(seconds["reference"], seconds["ours"])
    row: dict[str, Any] = {
        "kind": kind,
        "faster": ratio,
        "rounds": [r / o for r, o in zip(seconds["reference"], seconds["ours"], strict=True)],
        "seconds": {way: median(values) for way, values in seconds.items()},
        "memory_bytes": memory,
        "losses": losses,
    }
    if kind == "text":
        row |= _ceiling(work, median(seconds["ours"]))
    _print(work, row)
    return row


def _time_in_turn(work: Work, rounds: int) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Seconds of a step in each round, and the peak of memory, of each way."""
    context = multiprocessing.get_context("spawn")
    ends, memory = {}, {}
    for way in ("reference", "ours"):
        here, there = context.Pipe()
        context.Process(target=serve, args=(there, way, work), daemon=True).start()
        ends[way] = here

    def ask(way: str) -> float:
        ends[way].send(True)
        seconds, memory[way] = ends[way].recv()
        # A block of text is like any other; the rows of a task are not, so that all of them count.
        return median(seconds[1:]) if work.kind == "text" else sum(seconds) / len(seconds)

    for way in ends:
        ask(way)  # the first steps allocate and choose kernels
    found = measure_in_turn({way: lambda way=way: ask(way) for way in ends}, rounds)
    for way in ends:
        ends[way].send(False)
    return found, memory


def _ceiling(work: Work, seconds: float) -> dict[str, float]:
    """Tokens a second, and the share of a large matrix product of the training's type that they amount to."""
    dtype = torch_dtype(fastest_precision())
    size = 2048
    one, other = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    timings = []
    for _ in range(50):
        start = time.perf_counter()
        one @ other
        timings.append(time.perf_counter() - start)
    # A ceiling is what the machine does undisturbed.
    product = 2 * size**3 / min(timings)
    return {
        "tokens_per_second": work.batch_size * work.tokens / seconds,
        "ceiling_flops": product,
        "share_of_ceiling": operations(work) / seconds / product,
    }


def operations(work: Work, vocabulary: int = 30522) -> float:
    """Floating-point operations of our step: products of matrices, two for each multiplication and addition.

    The teacher runs forward, the student forward and, at twice that, backward; both heads at the masked positions.
    """
    positions = work.batch_size * work.tokens
    layer = 12 * work.width**2 + 2 * work.tokens * work.width
    head = MASKED * (work.width**2 + vocabulary * work.width)
    return 2.0 * positions * ((work.layers[0] * layer + head) + 3 * (work.layers[1] * layer + head))


def _print(work: Work, row: dict[str, Any]) -> None:
    seconds, memory = row["seconds"], row["memory_bytes"]
    header = ["way", "ms a step", "peak memory"]
    lines = [[way, f"{seconds[way] * 1000:,.0f}", f"{memory[way] / 2**30:.2f} GiB"] for way in seconds]
    what = f"{work.batch_size} × {work.tokens} tokens of text" if work.kind == "text" else f"{work.batch_size} rows"
    print_table(f"{what}, {describe_machine().cpu}", header, lines)
    rounds = ", ".join(f"{value:.2f}" for value in row["rounds"])
    console.print(f"ours is {row['faster']:.2f} times faster (rounds {rounds}; goal {GOALS[work.kind]:g})")
    if "share_of_ceiling" in row:
        console.print(
            f"{row['tokens_per_second']:,.0f} tokens/s, {row['share_of_ceiling']:.0%} of "
            f"{row['ceiling_flops'] / 1e9:,.0f} GFLOP/s, a product of 2048 × 2048 in {fastest_precision()}"
        )
    for name, (expected, found) in row["losses"].items():
        console.print(f"  {name}: reference {expected:.5f}, ours {found:.5f}")


if __name__ == "__main__":
    call(main)
