"""The search for sizes within a target: hundreds of shapes without training, a few of them run, still fewer recovered.

Importance says which parts go first. How far each size should go is measured: the change of the answers for every size
alone, with all others left whole; what a shape changes is predicted as the sum over its sizes. That told shapes apart
better, held against their scores after recovery, than their share of the importance: docs/lab-notes.md.
"""

from collections.abc import Callable, Sequence

import numpy as np

from pocketbert.errors import ModelError
from pocketbert.measure.results import Candidate, Frontier, Shape
from pocketbert.measure.wording import score
from pocketbert.recipe import Target
from pocketbert.shrink.anatomy import Anatomy

NEURON_STEPS = 8
"""Feed-forward sizes that are looked at: eighths of what there is."""
MOST_SHOWN = 7
"""Candidates of a frontier that are run, beside the whole model: of seven, three tries find the smallest that holds."""
FINALISTS = 4
"""Candidates within a target, the most promising first, that are run to choose one."""
REFINEMENTS = 4
"""Timings that narrow down which candidate is the slowest within a latency."""

Change = Callable[[Shape], float]
"""How much the answers of a cut model differ from those of the whole one."""
Examine = Callable[[Candidate], Candidate]
"""Runs a candidate: replaces its prediction by what was measured, and times it."""


def list_candidates(anatomy: Anatomy, change: Change) -> list[Candidate]:
    """Every shape that a search looks at, with its predicted change; the whole model is the last.

    Args:
        anatomy: of the whole model.
        change: measures a shape; called for shapes with one size cut and the others whole.
    """
    whole = anatomy.shape
    layers = {size: whole.model_copy(update={"layers": size}) for size in range(1, whole.layers)}
    heads = {
        size: whole.model_copy(update={"heads": size, "hidden": size * anatomy.head_size})
        for size in anatomy.possible_heads()[:-1]
    }
    neurons = {size: whole.model_copy(update={"feed_forward": size}) for size in _neuron_sizes(anatomy)}
    changes = [{size: change(shape) for size, shape in axis.items()} for axis in (layers, heads, neurons)]
    by_layers, by_heads, by_neurons = (
        each | {size: 0.0} for each, size in zip(changes, (whole.layers, whole.heads, whole.feed_forward), strict=True)
    )
    return [
        _predict(
            anatomy,
            Shape(layers=one, heads=two, feed_forward=three, hidden=two * anatomy.head_size),
            by_layers[one] + by_heads[two] + by_neurons[three],
        )
        for one in by_layers
        for two in by_heads
        for three in by_neurons
    ]


def find_frontier(
    target: Target, tokens: int, beside: int, anatomy: Anatomy, candidates: Sequence[Candidate], examine: Examine
) -> Frontier:
    """The frontier of candidates; for a target of bytes or latency with the chosen one.

    For a target of score nothing is chosen yet: see :func:`choose_by_score`.

    Args:
        target: what is to be reached.
        tokens: of the text that latencies are about.
        beside: bytes of what lies beside the weights, which a target of bytes counts too.
        anatomy: of the whole model.
        candidates: of :func:`list_candidates`.
        examine: runs a candidate.

    Raises:
        ModelError: no candidate is within the target, or the whole model is already.
    """
    if target.latency_ms is not None:
        return _search_latency(target.latency_ms, tokens, anatomy, candidates, examine)
    chosen = None
    if target.bytes is not None:
        chosen = _choose_within(target.bytes, beside, candidates, examine, anatomy)
    examined = [examine(each) for each in _spread(_best_by(candidates, _bytes), _bytes)]
    return Frontier(candidates=_best_with(examined, chosen, _bytes), cost="bytes", tokens=tokens)


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


def _neuron_sizes(anatomy: Anatomy) -> list[int]:
    whole, unit = anatomy.shape.feed_forward, anatomy.unit
    sizes = {max(1, round(whole * step / NEURON_STEPS / unit)) * unit for step in range(1, NEURON_STEPS)}
    return sorted(size for size in sizes if size < whole)


def _predict(anatomy: Anatomy, shape: Shape, change: float) -> Candidate:
    parameters, size = anatomy.count(shape)
    return Candidate(shape=shape, parameters=parameters, bytes=size, change=change)


def _bytes(each: Candidate) -> float:
    return each.bytes


def _best_by(candidates: Sequence[Candidate], cost: Callable[[Candidate], float]) -> list[Candidate]:
    """Those that change less than all that cost the same or less, by rising cost; the last is given as the last."""
    best: list[Candidate] = []
    for each in sorted(candidates[:-1], key=lambda each: (cost(each), each.change)):
        if not best or each.change < best[-1].change:
            best.append(each)
    return [*best, candidates[-1]]


def _best_with(
    examined: Sequence[Candidate], chosen: Candidate | None, cost: Callable[[Candidate], float]
) -> list[Candidate]:
    """What is best by measurement too, and the chosen one in its place."""
    best = [each for each in _best_by(examined, cost) if chosen is None or each.shape != chosen.shape]
    return best if chosen is None else sorted([*best, chosen], key=cost)


def _spread(candidates: Sequence[Candidate], cost: Callable[[Candidate], float]) -> list[Candidate]:
    """Some of the candidates, in even steps of cost, and the last one."""
    costs = np.array([cost(each) for each in candidates])
    steps = np.linspace(costs[0], costs[-1], MOST_SHOWN + 1)
    places = {int(np.abs(costs - step).argmin()) for step in steps}
    return [candidates[place] for place in sorted(places)]


def _choose_within(
    wanted: int, beside: int, candidates: Sequence[Candidate], examine: Examine, anatomy: Anatomy
) -> Candidate:
    whole, least, limit = candidates[-1], min(candidates, key=_bytes), wanted - beside
    if whole.bytes <= limit:
        raise ModelError(
            f"{anatomy.source}: has {whole.bytes:,} bytes of weights and {beside:,} of tokenizer and configuration, "
            f"within target.bytes {wanted:,} already; leave the stage out, or ask for less"
        )
    if least.bytes > limit:
        raise ModelError(
            f"{anatomy.source}: target.bytes {wanted:,} is out of reach: the smallest shape ({least.shape}) has "
            f"{least.bytes:,} bytes of weights, beside {beside:,} of tokenizer and configuration; trim the vocabulary "
            "first, or ask for more"
        )
    within: dict[tuple[int, int], Candidate] = {}
    for each in sorted((each for each in candidates if each.bytes <= limit), key=lambda each: each.change):
        within.setdefault((each.shape.layers, each.shape.heads), each)
    finalists = [examine(_fill(each, limit, anatomy)) for each in list(within.values())[:FINALISTS]]
    return min(finalists, key=lambda each: each.change).model_copy(update={"chosen": True})


def _fill(candidate: Candidate, limit: int, anatomy: Anatomy) -> Candidate:
    """The candidate with as many feed-forward neurons as there is room for."""
    sizes = range(candidate.shape.feed_forward, anatomy.shape.feed_forward + 1, anatomy.unit)
    shapes = [candidate.shape.model_copy(update={"feed_forward": size}) for size in sizes]
    fitting = [shape for shape in shapes if anatomy.count(shape)[1] <= limit]
    return _predict(anatomy, fitting[-1], candidate.change)


def _search_latency(
    limit: float, tokens: int, anatomy: Anatomy, candidates: Sequence[Candidate], examine: Examine
) -> Frontier:
    """Time a few, then those between the slowest within the limit and the next."""

    def work(each: Candidate) -> float:
        return anatomy.operations(each.shape, tokens)

    best = _best_by(candidates, work)
    timed = {best.index(each): examine(each) for each in _spread(best, work)}
    for _ in range(REFINEMENTS):
        low = max((place for place, each in timed.items() if _fits(each, limit)), default=-1)
        high = min((place for place in timed if place > low), default=low)
        if high - low < 2:
            break
        middle = (low + high) // 2
        timed[middle] = examine(best[middle])
    fitting = [place for place, each in timed.items() if _fits(each, limit)]
    _check_latency(timed[len(best) - 1], timed[0], limit, anatomy.source, bool(fitting))
    chosen = min((timed[place] for place in fitting), key=lambda each: each.change)
    examined = [timed[place] for place in sorted(timed)]
    found = _best_with(examined, chosen.model_copy(update={"chosen": True}), work)
    return Frontier(candidates=found, cost="latency", tokens=tokens)


def _fits(each: Candidate, limit: float) -> bool:
    return each.latency_ms is not None and each.latency_ms <= limit


def _check_latency(whole: Candidate, least: Candidate, limit: float, source: str, any_fits: bool) -> None:
    if _fits(whole, limit):
        raise ModelError(
            f"{source}: takes {whole.latency_ms:.2f} ms, within target.latency_ms {limit:g} already; leave the stage "
            "out, or ask for less"
        )
    if not any_fits:
        raise ModelError(
            f"{source}: target.latency_ms {limit:g} is out of reach on this machine: the smallest shape "
            f"({least.shape}) takes {least.latency_ms:.2f} ms; ask for more, or for fewer tokens"
        )
