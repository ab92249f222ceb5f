"""What a bench prints, and how it is drawn."""

import io
import itertools
import math
import re

import pytest
from rich.console import Console

from pocketbert.measure.bench_charts import (
    EDGE,
    describe_shape,
    plot_latency,
    plot_quality,
    shown_shape,
)
from pocketbert.measure.bench_results import Bench, BenchedModel, Latency, Sample, Throughput
from pocketbert.measure.bench_table import milliseconds, render_bench
from pocketbert.measure.charts import BOTTOM, LEFT, TOP
from pocketbert.measure.comparison import Report
from pocketbert.measure.report import render_html
from pocketbert.measure.results import Interval, ModelScores, Ratio, Size, Spread, Startup

LENGTHS = [16, 32, 64, 128, 512]


def make_model(number: int, speed: float, scored: bool = True, joules: float | None = None) -> BenchedModel:
    ratio = None if speed == 1 else Spread(median=speed, low=0.9 * speed, high=1.1 * speed)
    latency = [
        Latency(tokens=tokens, batch_size=texts, threads=threads, rounds=120, p50=tokens * texts / speed / threads,
                p95=1.1 * tokens * texts / speed, p99=None, ratio=ratio)
        for threads in (1, 2) for texts in (1, 32) for tokens in LENGTHS if texts * tokens < 10_000
    ]  # fmt: skip
    throughput = [
        Throughput(threads=threads, rounds=9, texts_per_second=100 * speed, tokens_per_second=4200 * speed,
                   joules=joules, ratio=ratio)
        for threads in (1, 2)
    ]  # fmt: skip
    score = 0.9 - 0.01 * number
    return BenchedModel(
        name=f"model-{number} openvino int8",
        reference=f"runs/model-{number}",
        engine="openvino",
        precision="int8",
        size=Size(parameters=66_000_000 // number, bytes=264_000_000 // number**2),
        startup=Startup(load_seconds=1.25, first_answer_seconds=0.0123, peak_bytes=412_000_000),
        latency=latency,
        throughput=throughput,
        quality=ModelScores(metrics={}, score=score, interval=Interval(low=score - 0.02, high=score + 0.02))
        if scored
        else None,
        kept=Ratio(value=0.978, interval=Interval(low=0.96, high=0.99)) if scored and number > 1 else None,
        agreement=0.951 if scored and number > 1 else None,
    )


def make_bench(models: int = 4, **fields) -> Bench:
    return Bench(
        models=[make_model(number, float(number), **fields) for number in range(1, models + 1)],
        sample=Sample(source="test rows of classification", texts=128, tokens_p50=26, tokens_p95=44, batch_tokens=1024),
        lengths=LENGTHS,
        batch_sizes=[1, 32],
        threads=[1, 2],
        task="classification" if fields.get("scored", True) else None,
        examples=872 if fields.get("scored", True) else None,
        deciding=["accuracy"],
        seconds=118.0,
        notes=["a note"],
    )


def printed(bench: Bench) -> str:
    text = io.StringIO()
    render_bench(bench, Console(file=text, width=160))
    return text.getvalue()


def test_tables_fit_a_hundred_columns():
    for lengths in (LENGTHS, LENGTHS[:4]):
        text = printed(make_bench().model_copy(update={"lengths": lengths}))
        assert max(map(len, text.splitlines())) <= 100 and "…" not in text


def test_tables_say_what_was_measured():
    text = printed(make_bench(joules=21.35))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "2 model-2 openvino int8 66.0 MB 33.0 M 1.25 s 12.3 ms 412.0 MB" in lines
    assert "1 model-1 openvino int8 0.8900" in lines
    assert "2 model-2 openvino int8 0.8800 97.8 % [96.0, 99.0] 95.1 %" in lines
    assert "3 model-3 openvino int8 2 300 12,600 3.00 × (2.70–3.30) 21.4" in lines
    # 32 × 512 tokens were not timed; p99 is not known of any.
    start = lines.index("32 texts on 2 threads: milliseconds p50 p95 p99, by tokens of a text")
    assert lines[start + 4] == "1 256 563 – 512 1126 – 1024 2253 – 2048 4506 – –"


def test_what_was_not_measured_is_not_printed():
    text = printed(make_bench(scored=False))
    assert "kept" not in text and "J / 1,000" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123, "0.12"), (9.994, "9.99"), (10.04, "10.0"), (99.96, "100.0"), (5200.4, "5200"), (None, "–")],
)
def test_milliseconds_have_three_digits_that_tell_something(value, text):
    assert milliseconds(value) == text


def test_one_text_on_most_threads_near_128_tokens_stands_for_the_latency():
    shape = shown_shape(make_bench())
    assert (shape.tokens, shape.batch_size, shape.threads) == (128, 1, 2)
    assert describe_shape(shape) == "128 tokens, 1 text on 2 threads"


def test_models_are_placed_by_score_and_cost():
    by_bytes, by_latency = plot_quality(make_bench())
    assert [plot.title for plot in (by_bytes, by_latency)] == ["score against bytes", "score against latency"]
    for plot in (by_bytes, by_latency):
        xs, ys = [point.x for point in plot.points], [point.y for point in plot.points]
        assert xs == sorted(xs, reverse=True) and ys == sorted(ys)  # smaller and faster is left, worse is lower
        assert all(LEFT <= x <= EDGE for x in xs) and all(TOP <= y <= BOTTOM for y in ys)
        assert all(TOP <= point.high < point.y < point.low <= BOTTOM for point in plot.points)
        assert 1 <= len(plot.x_ticks) <= 4 and all(LEFT <= tick.at <= EDGE for tick in plot.x_ticks)
    # Twice as much is as far everywhere: 264 MB to 66 MB as 66 MB to 16.5 MB.
    xs = [point.x for point in by_bytes.points]
    assert xs[0] - xs[1] == pytest.approx(xs[1] - xs[3])
    assert "model 2: 0.8800 at 66 MB" in by_bytes.summary and "at 64" in by_latency.summary
    assert by_latency.x_name == "ms, 128 tokens, 1 text on 2 threads"


def test_numbers_keep_away_from_dots_and_each_other():
    bench = make_bench(6)
    same = [model.model_copy(update={"size": bench.models[0].size, "quality": bench.models[0].quality})
            for model in bench.models]  # fmt: skip
    plot = plot_quality(bench.model_copy(update={"models": same}))[0]
    labels = [(point.label_x, point.label_y) for point in plot.points]
    dot = (plot.points[0].x, plot.points[0].y)
    assert all(math.dist(label, dot) >= 12 for label in labels)
    assert all(math.dist(a, b) >= 12 for number, a in enumerate(labels) for b in labels[:number])


def test_without_scores_there_is_no_plot_of_them():
    assert plot_quality(make_bench(scored=False)) == []


def test_a_line_for_each_model_by_length():
    plot = plot_latency(make_bench())
    assert plot.title == "median latency by length, 1 text on 2 threads"
    assert [tick.label for tick in plot.x_ticks] == ["16", "32", "64", "128", "512"]
    ends = [line.last_y for line in plot.series]
    assert ends == sorted(ends)  # the slowest is the highest
    lines = [[tuple(map(float, each.split(","))) for each in line.points.split()] for line in plot.series]
    steps = [b[0] - a[0] for a, b in itertools.pairwise(lines[0])]
    assert steps[:3] == pytest.approx([steps[0]] * 3, abs=0.2) and steps[3] == pytest.approx(2 * steps[0], abs=0.3)
    heights = sorted(line.label_y for line in plot.series)
    assert all(b - a >= 15 for a, b in itertools.pairwise(heights))
    assert "model 2: 4.00 ms at 16 tokens to 128 ms at 512 tokens" in plot.summary


def test_one_length_is_no_line():
    bench = make_bench()
    for model in bench.models:
        model.latency = [each for each in model.latency if each.tokens == 16]
    assert plot_latency(bench) is None
    for model in bench.models:
        model.latency = []
    assert plot_latency(bench) is None and [plot.title for plot in plot_quality(bench)] == ["score against bytes"]
    assert "latency, ms" not in render_html(Report(name="x", bench=bench))


def test_the_page_shows_the_bench():
    html = render_html(Report(name="side <by> side", bench=make_bench(joules=3.21)))
    words = " ".join(re.sub(r"<[^>]+>", " ", html).replace("\u00a0", " ").split())
    for phrase in (
        "Side by side",
        "2 model-2 openvino int8 0.8800 97.8 % [96.0, 99.0] 66.0 MB 33.0 M 32.0 · 70.4 · – 200 · 2.00 ×",
        "1.25 s 12.3 ms 412.0 MB 3.2",
        "score against bytes",
        "score against latency",
        "Latency is of 128 tokens, 1 text on 2 threads, in 120 rounds.",
        "128 test rows of classification of 26 tokens",
        "a note",
    ):
        assert phrase in words
    assert html.count('class="model hue-2"') == 5  # an interval, a dot and a number twice, and a line
    assert html.count('<svg class="line-plot"') == 3
    assert "<title>side &lt;by&gt; side</title>" in html


def test_a_page_without_a_bench_says_nothing_of_it(report):
    assert "Side by side" not in render_html(report)
