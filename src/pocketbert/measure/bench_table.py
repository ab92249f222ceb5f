"""What a bench measured, in the terminal."""

from itertools import product

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from pocketbert.measure.bench_results import Bench, BenchedModel, Latency
from pocketbert.measure.wording import count, counted, describe_ratio, file_size, percent, score, times
from pocketbert.tasks.embedding import Embedding
from pocketbert.tasks.regression import Regression

WIDTH = 100

_CELL = 18
"""Columns that the three percentiles of a length take, with what separates them."""


def render_bench(bench: Bench, console: Console) -> None:
    """Print the tables of a bench; models go by their numbers where there is little room.

    Args:
        bench: what was measured; what is absent from it is not printed.
        console: where to.
    """
    width = min(WIDTH, console.width)
    for part in (_models(bench), *_quality(bench), _throughput(bench), *_latencies(bench)):
        console.print(part, width=width, highlight=False)


def milliseconds(value: float | None) -> str:
    """Three digits that tell something, and no more than five characters; a dash where nothing was measured."""
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _models(bench: Bench) -> RenderableType:
    table = _table("size, and from nothing to an answer, in a process of its own")
    _add_columns(table, "bytes", "parameters", "load", "first answer", "peak memory")
    for number, model in enumerate(bench.models, start=1):
        start = model.startup
        table.add_row(
            f"{number} {model.name}",
            file_size(model.size.bytes),
            count(model.size.parameters),
            f"{start.load_seconds:.2f} s",
            f"{milliseconds(1000 * start.first_answer_seconds)} ms",
            file_size(start.peak_bytes),
        )
    return table


def _quality(bench: Bench) -> list[RenderableType]:
    if bench.examples is None:
        return []
    table = _table(f"{bench.task}, {bench.examples:,} rows; the score is {' and '.join(bench.deciding)}")
    _add_columns(table, "score", "kept, 95 % interval", "same answers")
    for number, model in enumerate(bench.models, start=1):
        kept = describe_ratio(model.kept) if model.kept else ""
        table.add_row(
            f"{number} {model.name}",
            score(model.quality.score) if model.quality else "",
            kept,
            _agreement(bench, model),
        )
    return [table]


def _agreement(bench: Bench, model: BenchedModel) -> str:
    if model.agreement is None:
        return ""
    return f"r = {model.agreement:.3f}" if bench.task in (Regression.name, Embedding.name) else percent(model.agreement)


def _throughput(bench: Bench) -> RenderableType:
    sample = bench.sample
    table = _table(
        f"{sample.texts} {sample.source}, of {sample.tokens_p50} tokens (p95 {sample.tokens_p95}), "
        f"in batches of {sample.batch_tokens:,}"
    )
    _add_columns(table, "threads", "texts/s", "tokens/s", "× the first")
    metered = any(each.joules is not None for model in bench.models for each in model.throughput)
    if metered:
        _add_columns(table, "J / 1,000 texts")
    for threads in bench.threads:
        for number, model in enumerate(bench.models, start=1):
            each = next(each for each in model.throughput if each.threads == threads)
            ratio = f"{times(each.ratio.median)} ({each.ratio.low:.2f}–{each.ratio.high:.2f})" if each.ratio else ""
            energy = [f"{each.joules:.1f}" if each.joules is not None else "–"] if metered else []
            cells = [f"{each.threads}", f"{each.texts_per_second:,.0f}", f"{each.tokens_per_second:,.0f}", ratio]
            table.add_row(f"{number} {model.name}", *cells, *energy)
        table.add_section()
    return table


def _latencies(bench: Bench) -> list[RenderableType]:
    return [_latency(bench, *shape) for shape in product(bench.batch_sizes, bench.threads)]


def _latency(bench: Bench, batch_size: int, threads: int) -> RenderableType:
    calls = f"{counted(batch_size, 'text')} on {counted(threads, 'thread')}"
    title = f"{calls}: milliseconds p50 p95 p99, by tokens of a text"
    table = _table(title)
    _add_columns(table, *(f"{length}" for length in bench.lengths))
    names = [f"{number} {model.name}" for number, model in enumerate(bench.models, start=1)]
    has_room = max(map(len, names)) <= WIDTH - _CELL * len(bench.lengths)
    for name, model in zip(names, bench.models, strict=True):
        cells = [_percentiles(model.latency_at(length, batch_size, threads)) for length in bench.lengths]
        table.add_row(name if has_room else name.partition(" ")[0], *cells)
    return table


def _percentiles(latency: Latency | None) -> Text:
    if latency is None:
        return Text("–")
    median, *tail = (milliseconds(value) for value in (latency.p50, latency.p95, latency.p99))
    return Text.assemble((median, "bold"), *((f" {value:>4}", "dim") for value in tail))


def _table(title: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold")
    table.add_column("model", overflow="fold")
    return table


def _add_columns(table: Table, *names: str) -> None:
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
