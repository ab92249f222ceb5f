import pytest

from pocketbert.measure.charts import BOTTOM, LEFT, RIGHT, TOP
from pocketbert.measure.frontier import plot_frontier, read_frontiers
from pocketbert.measure.report import render_html
from pocketbert.measure.results import Candidate, Frontier, Shape


def candidate(layers, **values):
    shape = Shape(layers=layers, heads=4, feed_forward=512, hidden=128)
    return Candidate(shape=shape, parameters=layers, bytes=layers * 10**6, change=(3 - layers) / 10, **values)


@pytest.fixture
def frontier():
    return Frontier(
        candidates=[candidate(1, latency_ms=1.0), candidate(2, latency_ms=2.5, chosen=True), candidate(3)],
        cost="bytes",
        tokens=64,
    )


def test_a_frontier_is_drawn_by_what_was_measured(frontier):
    by_bytes, by_latency = plot_frontier(frontier)
    assert by_bytes.title == "change of the answers when cut (less is better), against bytes"
    assert by_latency.across == "milliseconds for one text of 64 tokens"
    assert [len(plot.marks) for plot in (by_bytes, by_latency)] == [3, 2]
    first, second, third = by_bytes.marks
    assert LEFT < first.x < second.x < third.x < RIGHT and second.x - first.x == pytest.approx(third.x - second.x)
    assert TOP < first.y < second.y < third.y < BOTTOM  # the whole model changes nothing, and zero is at the bottom
    assert [mark.chosen for mark in by_bytes.marks] == [False, True, False]
    assert second.text == "layers 2, width 128, heads 4, neurons 512: 2.0 MB, 0.1"


def test_scores_are_drawn_where_shapes_were_tried(frontier):
    scored = [each.model_copy(update={"score": 0.8 + each.shape.layers / 100}) for each in frontier.candidates[:2]]
    plots = plot_frontier(frontier.model_copy(update={"candidates": [*scored, frontier.candidates[2]]}))
    assert [plot.title.split(",")[0] for plot in plots][:2] == ["validation score after a short recovery"] * 2
    first, second = plots[0].marks
    assert first.y > second.y and first.text.endswith("1.0 MB, 0.8100")


def test_frontiers_are_found_in_manifests_and_shown_in_the_report(frontier, report):
    manifests = {
        "02-distill": {"stage": "distill", "metrics": {"steps": 3}},
        "03-prune": {"stage": "prune", "metrics": {"frontier": frontier.model_dump(mode="json")}},
    }
    assert read_frontiers(manifests) == {"03-prune": frontier}
    assert "Search for smaller sizes" not in render_html(report)
    provenance = report.provenance.model_copy(update={"manifests": manifests})
    html = render_html(report.model_copy(update={"provenance": provenance}))
    assert "Search for smaller sizes" in html and html.count('<circle class="other"') == 3
    assert "<title>layers 2, width 128, heads 4, neurons 512: 2.0 MB, 0.1</title>" in html
