import math

import parts
import pytest

from pocketbert.errors import ModelError
from pocketbert.measure.results import Shape
from pocketbert.recipe import Target
from pocketbert.shrink.search import choose_by_score, find_frontier, list_candidates

ANATOMY = parts.make("distilbert", layers=4)[1]  # 4 heads of 16, 128 neurons
WHOLE = ANATOMY.shape


def change(shape: Shape) -> float:
    """Width is dear, layers less so, neurons are cheap: a sum over the sizes, so that predictions are exact."""
    return (4 - shape.layers) ** 2 + 10.0 * (4 - shape.heads) + (128 - shape.feed_forward) / 128


def milliseconds(shape: Shape) -> float:
    return shape.layers * (shape.hidden * 4 + shape.feed_forward * 2) / 256


class Examiner:
    """Stands for running a candidate."""

    def __init__(self):
        self.seen = []

    def __call__(self, candidate):
        self.seen.append(candidate.shape)
        measured = {"change": change(candidate.shape), "latency_ms": milliseconds(candidate.shape)}
        return candidate.model_copy(update=measured)


def candidates():
    return list_candidates(ANATOMY, change)


def test_every_combination_is_a_candidate_and_changes_add_up():
    measured = []
    found = list_candidates(ANATOMY, lambda shape: measured.append(shape) or change(shape))
    assert len(found) == 4 * 4 * 8 and found[-1].shape == WHOLE and found[-1].change == 0
    assert all(each.change == pytest.approx(change(each.shape)) for each in found)
    assert len(measured) == 3 + 3 + 7  # one size at a time
    assert {each.shape.feed_forward for each in found} == {16, 32, 48, 64, 80, 96, 112, 128}


@pytest.mark.parametrize("share", [0.95, 0.7, 0.5, 0.3])
def test_of_all_shapes_within_the_bytes_the_one_that_changes_least_is_chosen(share):
    limit = round(share * ANATOMY.count(WHOLE)[1])
    frontier = find_frontier(Target(bytes=limit + 100), 48, 100, ANATOMY, candidates(), Examiner())
    (chosen,) = [each for each in frontier.candidates if each.chosen]
    assert chosen.bytes <= limit and chosen.bytes == ANATOMY.count(chosen.shape)[1]
    every = [
        Shape(layers=layers, heads=heads, feed_forward=neurons, hidden=16 * heads)
        for layers in range(1, 5)
        for heads in range(1, 5)
        for neurons in range(8, 129, 8)
    ]
    least = min(change(shape) for shape in every if ANATOMY.count(shape)[1] <= limit)
    assert change(chosen.shape) == pytest.approx(least)


def test_a_frontier_is_better_the_more_it_costs():
    examiner = Examiner()
    frontier = find_frontier(Target(kept=0.9), 48, 100, ANATOMY, candidates(), examiner)
    sizes, changes = ([getattr(each, name) for each in frontier.candidates] for name in ("bytes", "change"))
    assert sizes == sorted(sizes) and changes == sorted(changes, reverse=True) and len(set(changes)) == len(changes)
    assert frontier.candidates[-1].shape == WHOLE and frontier.cost == "bytes" and frontier.tokens == 48
    assert 4 <= len(examiner.seen) <= 8
    assert not any(each.chosen for each in frontier.candidates)


@pytest.mark.parametrize("limit", [7.5, 5.0, 2.0, 0.6])
def test_a_latency_is_kept_and_nearly_used_up(limit):
    examiner = Examiner()
    frontier = find_frontier(Target(latency_ms=limit), 48, 100, ANATOMY, candidates(), examiner)
    (chosen,) = [each for each in frontier.candidates if each.chosen]
    assert chosen.latency_ms <= limit and chosen.latency_ms > 0.7 * limit
    assert len(examiner.seen) <= 12 and len(examiner.seen) == len({str(shape) for shape in examiner.seen})


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Target(bytes=10**7), "within target.bytes 10,000,000 already; leave the stage out"),
        (Target(bytes=2000), r"out of reach: the smallest shape \(layers 1, width 16, heads 1, neurons 16\) has"),
        (Target(latency_ms=8.5), "takes 8.00 ms, within target.latency_ms 8.5 already"),
        (Target(latency_ms=0.1), r"out of reach on this machine: the smallest shape \(layers 1, .*takes 0.38 ms"),
    ],
)
def test_targets_that_are_met_or_out_of_reach_are_refused(target, message):
    with pytest.raises(ModelError, match=f"distilbert: .*{message}"):
        find_frontier(target, 48, 100, ANATOMY, candidates(), Examiner())


@pytest.mark.parametrize("place", range(7))
def test_halving_finds_the_smallest_that_holds(place):
    frontier = find_frontier(Target(kept=0.9), 48, 100, ANATOMY, candidates(), Examiner())
    shapes = [str(each.shape) for each in frontier.candidates]
    place = min(place, len(shapes) - 2)
    tried = []

    def recover(shape):
        tried.append(str(shape))
        return 0.5 + shapes.index(str(shape)) / 100

    found = choose_by_score(frontier, 0.5 + place / 100, recover)
    assert [str(each.shape) for each in found.candidates if each.chosen] == [shapes[place]]
    assert len(tried) == len(set(tried)) <= math.ceil(math.log2(len(shapes)))
    assert {str(each.shape) for each in found.candidates if each.score is not None} == set(tried)
    assert found.candidates[place].score == pytest.approx(0.5 + place / 100)


def test_where_no_smaller_shape_holds_it_is_said():
    frontier = find_frontier(Target(kept=0.9), 48, 100, ANATOMY, candidates(), Examiner())
    with pytest.raises(ModelError, match=r"no smaller shape reached 0.8000 .* \(.*: 0.7000.*\); ask for less"):
        choose_by_score(frontier, 0.8, lambda shape: 0.7)
