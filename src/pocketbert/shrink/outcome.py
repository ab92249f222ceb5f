"""What a pruning took out and what that was worth, for the manifest and for people."""

from rich.table import Table

from pocketbert.measure.results import Frontier, Outcome, Speed, Spread
from pocketbert.measure.wording import count, describe_spread, file_size, percent, score, times
from pocketbert.recipe import Target

UNPRUNED, PRUNED = "unpruned", "pruned"
"""Names of both models in the speed of an outcome."""
LEAST_GAIN = 1.02
"""A ratio of times below it is no gain: repeated timings of one model differ by as much."""


def describe_speed(speed: Speed) -> str:
    """Whether the pruned model measured faster, in one sentence: ``not faster in batches of 32: 0.98 × (…); …``."""
    batches = _verdict(f"in batches of {speed.batch_size}", speed.throughput_ratio[PRUNED])
    return f"{batches}; {_verdict('one text at a time', speed.latency_ratio[PRUNED])}"


def describe_shortfall(kept: float | None, target: Target | None) -> str:
    """A sentence if the whole recovery ended below the score that a short one had reached; else empty.

    Args:
        kept: share of the unpruned model's validation score after recovery.
        target: of the pruning.
    """
    if target is None or target.kept is None or kept is None or kept >= target.kept:
        return ""
    return f"kept {percent(kept)} after recovery, less than the {percent(target.kept)} asked for"


def outcome_table(outcome: Outcome) -> Table:
    """Both models side by side."""
    table = Table("", UNPRUNED, PRUNED, title="Pruning")
    first, second = outcome.unpruned, outcome.pruned
    sizes = (
        ("layers", "layers"), ("hidden width", "hidden"), ("attention heads", "heads"),
        ("feed-forward neurons", "feed_forward"),
    )  # fmt: skip
    for title, name in sizes:
        table.add_row(title, f"{getattr(first.shape, name):,}", f"{getattr(second.shape, name):,}")
    table.add_row("parameters", count(first.parameters), count(second.parameters))
    table.add_row("weights on disk", file_size(first.bytes), file_size(second.bytes))
    kept = f", {percent(outcome.kept)} kept" if outcome.kept is not None else ""
    table.add_row(
        "validation score", score(first.score), f"{score(second.score)}{kept} ({score(outcome.cut)} when cut)"
    )
    timings = [outcome.speed.models[name] for name in (UNPRUNED, PRUNED)]
    table.add_row("latency", *(f"{timing.latency_p50:.2f} ms" for timing in timings))
    table.add_row("throughput", *(f"{count(timing.tokens_per_second)} tokens/s" for timing in timings))
    return table


def frontier_table(frontier: Frontier) -> Table:
    """The candidates that were run, the chosen one marked."""
    scored = any(each.score is not None for each in frontier.candidates)
    titles = ["", "shape", "parameters", "bytes", f"latency, {frontier.tokens} tokens", "faster"]
    titles += ["importance kept", "change when cut", *(["score, short recovery"] if scored else [])]
    table = Table(*titles, title="Frontier")
    for each in frontier.candidates:
        cells = [
            "→" if each.chosen else "",
            str(each.shape),
            count(each.parameters),
            file_size(each.bytes),
            "" if each.latency_ms is None else f"{each.latency_ms:.2f} ms",
            "" if each.faster is None else times(each.faster.median),
            "" if each.importance is None else percent(each.importance),
            f"{each.change:.4f}",
            "" if each.score is None else score(each.score),
        ]
        table.add_row(*cells[: len(titles)])
    return table


def _verdict(where: str, ratio: Spread) -> str:
    return f"{'faster' if ratio.median >= LEAST_GAIN else 'not faster'} {where}: {describe_spread(ratio)}"
