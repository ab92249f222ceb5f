import pytest

from pocketbert.measure.charts import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    confused_pairs,
    kept_dots,
    nice_ticks,
    plot_curves,
    plot_line,
    score_bars,
    size_and_speed_bars,
)
from pocketbert.measure.comparison import Curve, CurvePoint, Report
from pocketbert.measure.results import Interval, ModelScores, Ratio, Size


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (3, 47, [10, 20, 30, 40]), (-0.3, 0.3, [-0.2, 0, 0.2])],
)
def test_ticks_are_round(low, high, expected):
    assert nice_ticks(low, high) == pytest.approx(expected)


def coordinates(points: str) -> list[tuple[float, float]]:
    return [tuple(float(number) for number in point.split(",")) for point in points.split()]


def test_a_line_stays_between_its_axes_and_keeps_its_ends():
    points = [(float(step), 1000.0 / (step + 1)) for step in range(1000)]
    placed = coordinates(plot_line("loss", points).points)
    assert len(placed) <= 260
    assert placed[0][0] == LEFT
    assert placed[-1][0] == RIGHT
    assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in placed)
    assert placed[0][1] < placed[-1][1]  # downwards is greater


def test_a_flat_line_is_in_the_middle():
    placed = coordinates(plot_line("score", [(0.0, 0.5), (10.0, 0.5)]).points)
    assert placed[0][1] == placed[1][1] == pytest.approx((TOP + BOTTOM) / 2)


def test_a_measure_logged_once_has_no_line():
    points = [CurvePoint(step=1, loss=1.0), CurvePoint(step=2, loss=0.5, eval_score=0.9)]
    assert [plot.title for plot in plot_curves(Curve(stage="x", points=points))] == ["training loss"]


def test_bars_below_zero_reach_back_from_it(report):
    scores = ModelScores(metrics={"matthews": -0.5}, score=-0.5, interval=Interval(low=-1.0, high=0.0))
    task = report.tasks[0].model_copy(update={"models": {"teacher": scores}})
    (bar,) = score_bars(task)
    assert (bar.start, bar.width, bar.low, bar.high) == pytest.approx((25.0, 25.0, 0.0, 50.0))


def test_bars_of_scores_are_percent_of_one(report):
    teacher = score_bars(report.tasks[0])[0]
    assert (teacher.start, teacher.width) == pytest.approx((0.0, 92.75))
    assert teacher.low < teacher.width < teacher.high


def test_dots_share_an_axis_on_which_equal_lies():
    plot = kept_dots(
        {
            "a": Ratio(value=0.9, interval=Interval(low=0.8, high=0.95)),
            "b": Ratio(value=0.7, reason="no interval"),
            "c": Ratio(reason="no value"),
        }
    )
    assert [dot.name for dot in plot.dots] == ["a", "b"]
    second = plot.dots[1]
    assert second.low == second.at == second.high < plot.dots[0].low < plot.equal < 100
    assert kept_dots({"c": Ratio(reason="no value")}) is None


def test_the_longest_bar_fills_its_axis():
    sizes = {"teacher": Size(parameters=40, bytes=200), "student": Size(parameters=10, bytes=100)}
    weights, parameters = size_and_speed_bars(Report(name="x", sizes=sizes))
    assert [bar.width for bar in weights.bars] == [100.0, 50.0]
    assert [bar.width for bar in parameters.bars] == [100.0, 25.0]


def test_the_most_confused_pairs_come_first():
    pairs = confused_pairs([[5, 1, 0], [3, 7, 0], [0, 2, 8]], ["a", "b", "c"])
    assert [(pair.true, pair.answered, pair.count, pair.share) for pair in pairs] == [
        ("b", "a", "3", "30.0 %"),
        ("c", "b", "2", "20.0 %"),
        ("a", "b", "1", "16.7 %"),
    ]
