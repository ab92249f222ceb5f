"""The search for sizes within a target: candidates without training, timed, and tried where a score is asked for."""

from collections.abc import Callable, Sequence

import numpy as np
from rich.table import Table
from transformers import PreTrainedModel

from pocketbert.errors import ModelError
from pocketbert.measure.results import Candidate, Frontier, Shape
from pocketbert.measure.speed import Runnable, measure_speed
from pocketbert.measure.wording import count, file_size, percent, score, times
from pocketbert.models.describing import as_engine, own_task
from pocketbert.recipe import Target
from pocketbert.shrink.anatomy import Anatomy
from pocketbert.shrink.importance import Importance
from pocketbert.shrink.surgery import choose_parts, importance_kept

NEURON_STEPS = 8
"""Feed-forward sizes that are looked at: eighths of what there is."""
MOST_SHOWN = 8
"""Candidates of a frontier that are timed and shown, beside the chosen one and the whole model."""
MOST_TRIED = 7
"""Candidates of a frontier that recovery may be tried on: of seven, three tries find the smallest that holds."""
REFINEMENTS = 4
"""Timings that narrow down which candidate is the slowest within a latency."""
SECONDS = 1.5
"""Of timing a candidate."""

Timer = Callable[[Candidate], Candidate]


def list_candidates(importance: Importance, anatomy: Anatomy) -> list[Candidate]:
    """Every shape that a search looks at: all numbers of layers and heads, and eighths of the feed-forward neurons."""
    whole = anatomy.shape
    steps = (whole.feed_forward * step / NEURON_STEPS for step in range(1, NEURON_STEPS))
    neurons = {max(1, round(step / anatomy.unit)) * anatomy.unit for step in steps}
    sizes = sorted({size for size in neurons if size < whole.feed_forward} | {whole.feed_forward})
    return [
        _describe(
            importance, anatomy, Shape(layers=layers, heads=heads, feed_forward=size, hidden=heads * anatomy.head_size)
        )
        for layers in range(1, whole.layers + 1)
        for heads in anatomy.possible_heads()
        for size in sizes
    ]


def find_frontier(target: Target, tokens: int, importance: Importance, anatomy: Anatomy, timer: Timer) -> Frontier:
    """The frontier of candidates, timed; for a target of bytes or latency with the chosen one.

    Of all candidates within a target the one of most importance is chosen. For a target of score nothing is chosen yet:
    see :func:`choose_by_score`.

    Args:
        target: what is to be reached.
        tokens: of the text that latencies are about.
        importance: of the whole model's parts.
        anatomy: of the whole model.
        timer: adds latencies to a candidate.

    Raises:
        ModelError: no candidate is within the target, or the whole model is already.
    """
    candidates = list_candidates(importance, anatomy)
    if target.latency_ms is not None:
        return _within_latency(target.latency_ms, tokens, candidates, anatomy, timer)
    by_bytes = _best_by(candidates, lambda each: each.bytes)
    chosen: list[Candidate] = []
    if target.bytes is not None:
        chosen = [_within_bytes(target.bytes, candidates, anatomy)]
    shown = _spread(by_bytes, MOST_SHOWN if chosen else MOST_TRIED, lambda each: each.bytes)
    found = {str(each.shape): each for each in [*shown, *chosen]}
    timed = [timer(each) for each in sorted(found.values(), key=lambda each: each.bytes)]
    return Frontier(candidates=timed, cost="bytes", tokens=tokens)


def choose_by_score(frontier: Frontier, least: float, recover: Callable[[Shape], float]) -> Frontier:
    """The smallest candidate that reaches a score after a short recovery, found by halving.

    Args:
        frontier: by rising cost, the whole model last.
        least: score to reach, on validation rows.
        recover: gives the score of a shape.

    Raises:
        ModelError: none of those tried reaches it.
    """
    candidates = list(frontier.candidates)
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        reached = recover(candidates[middle].shape)
        candidates[middle] = candidates[middle].model_copy(update={"score": reached})
        low, high = (low, middle) if reached >= least else (middle + 1, high)
    if high == len(candidates) - 1:
        tried = "; ".join(f"{each.shape}: {score(each.score)}" for each in candidates if each.score is not None)
        raise ModelError(
            f"target.kept: no smaller shape reached {score(least)} on the validation rows after a short recovery "
            f"({tried}); ask for less, or let recover run longer"
        )
    candidates[high] = candidates[high].model_copy(update={"chosen": True})
    return frontier.model_copy(update={"candidates": candidates})


def make_timer(model: PreTrainedModel, anatomy: Anatomy, tokens: int) -> Timer:
    """A function that times a candidate in turn with the whole model, on one text of so many tokens.

    The candidate's weights are random: they do not change how long it takes.

    Args:
        model: the whole one, on the device where it is to be timed.
        anatomy: of the whole model.
        tokens: of the text, at most what the model takes.
    """
    piece = (anatomy.config.pad_token_id + 1) % anatomy.config.vocab_size
    text = {"input_ids": [piece] * tokens, "attention_mask": [1] * tokens, "token_type_ids": [0] * tokens}
    pad, task = anatomy.config.pad_token_id, own_task(anatomy.config, type(model).__name__)
    whole = Runnable(as_engine(model, list(text), task), [text], pad, str(model.device))

    def time_candidate(candidate: Candidate) -> Candidate:
        small = type(model)(anatomy.configure(candidate.shape)).to(model.device)
        run = Runnable(as_engine(small, list(text), task), [text], pad, str(model.device))
        speed = measure_speed({"whole": whole, "candidate": run}, seconds=SECONDS, batch_size=1)
        latency, faster = speed.models["candidate"].latency_p50, speed.latency_ratio["candidate"]
        return candidate.model_copy(update={"latency_ms": latency, "faster": faster})

    return time_candidate


def frontier_table(frontier: Frontier) -> Table:
    """The frontier as a table, the chosen candidate marked."""
    titles = ["", "shape", "parameters", "bytes", f"latency, {frontier.tokens} tokens", "faster", "importance kept"]
    scored = any(each.score is not None for each in frontier.candidates)
    table = Table(*titles, *(["score after a short recovery"] if scored else []), title="Frontier")
    for each in frontier.candidates:
        cells = [
            "→" if each.chosen else "",
            str(each.shape),
            count(each.parameters),
            file_size(each.bytes),
            f"{each.latency_ms:.2f} ms" if each.latency_ms is not None else "",
            times(each.faster.median) if each.faster else "",
            percent(each.importance),
        ]
        table.add_row(*cells, *([score(each.score) if each.score is not None else ""] if scored else []))
    return table


def _describe(importance: Importance, anatomy: Anatomy, shape: Shape) -> Candidate:
    parameters, size = anatomy.count(shape)
    kept = importance_kept(importance, anatomy, choose_parts(importance, anatomy, shape))
    return Candidate(shape=shape, parameters=parameters, bytes=size, importance=kept)


def _within_bytes(limit: int, candidates: Sequence[Candidate], anatomy: Anatomy) -> Candidate:
    whole, least = candidates[-1], min(candidates, key=lambda each: each.bytes)
    if whole.bytes <= limit:
        raise ModelError(
            f"{anatomy.source}: has {whole.bytes:,} bytes of weights, within target.bytes {limit:,} already; leave the "
            "stage out, or ask for less"
        )
    if least.bytes > limit:
        raise ModelError(
            f"{anatomy.source}: target.bytes {limit:,} is out of reach: the smallest shape ({least.shape}) has "
            f"{least.bytes:,}, most of them in its embeddings; trim the vocabulary first"
        )
    within = [each for each in candidates if each.bytes <= limit]
    best = max(within, key=lambda each: (each.importance, -anatomy.operations(each.shape, 1)))
    return best.model_copy(update={"chosen": True})


def _within_latency(
    limit: float, tokens: int, candidates: Sequence[Candidate], anatomy: Anatomy, timer: Timer
) -> Frontier:
    """Time a few, then those between the slowest within the limit and the next."""

    def work(each: Candidate) -> float:
        return anatomy.operations(each.shape, tokens)

    by_work = _best_by(candidates, work)
    timed = {by_work.index(each): timer(each) for each in _spread(by_work, MOST_SHOWN, work)}
    for _ in range(REFINEMENTS):
        low = max((place for place, each in timed.items() if _fits(each, limit)), default=-1)
        high = min((place for place in timed if place > low), default=low)
        if high - low < 2:
            break
        middle = (low + high) // 2
        timed[middle] = timer(by_work[middle])
    fitting = [place for place, each in timed.items() if _fits(each, limit)]
    _check_latency(timed[len(by_work) - 1], timed[0], limit, anatomy, bool(fitting))
    best = max(fitting, key=lambda place: timed[place].importance)
    timed[best] = timed[best].model_copy(update={"chosen": True})
    return Frontier(candidates=[timed[place] for place in sorted(timed)], cost="latency", tokens=tokens)


def _fits(each: Candidate, limit: float) -> bool:
    return each.latency_ms is not None and each.latency_ms <= limit


def _check_latency(whole: Candidate, least: Candidate, limit: float, anatomy: Anatomy, any_fits: bool) -> None:
    if _fits(whole, limit):
        raise ModelError(
            f"{anatomy.source}: takes {whole.latency_ms:.2f} ms, within target.latency_ms {limit:g} already; leave the "
            "stage out, or ask for less"
        )
    if not any_fits:
        raise ModelError(
            f"{anatomy.source}: target.latency_ms {limit:g} is out of reach on this machine: the smallest shape "
            f"({least.shape}) takes {least.latency_ms:.2f} ms; ask for more, or for fewer tokens"
        )


def _best_by(candidates: Sequence[Candidate], cost: Callable[[Candidate], float]) -> list[Candidate]:
    """Those that no other of the same cost or less beats in importance, by rising cost."""
    best: list[Candidate] = []
    for each in sorted(candidates, key=lambda each: (cost(each), -each.importance)):
        if not best or each.importance > best[-1].importance:
            best.append(each)
    return best


def _spread(candidates: Sequence[Candidate], most: int, cost: Callable[[Candidate], float]) -> list[Candidate]:
    """At most so many of the candidates, in even steps of cost, and the last one, which is the whole model."""
    costs = np.array([cost(each) for each in candidates])
    steps = np.linspace(costs[0], costs[-1], most + 1)
    places = {int(np.abs(costs - step).argmin()) for step in steps}
    return [candidates[place] for place in sorted(places)]
