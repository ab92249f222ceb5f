"""What a bench measured, in the terminal."""

from itertools import product

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from pocketbert.measure.bench_results import Bench, BenchedModel, Latency
from pocketbert.measure.bench_timing import describe_threads
from pocketbert.measure.wording import count, describe_ratio, file_size, percent, score, times

WIDTH = 100


def render_bench(bench: Bench, console: Console) -> None:
    """Print the tables of a bench.

    Args:
        bench: what was measured; what is absent from it is not printed.
        console: where to.
    """
    width = min(WIDTH, console.width)
    for part in (_models(bench), *_quality(bench), _throughput(bench), _latency(bench)):
        console.print(part, width=width, highlight=False)


def milliseconds(value: float | None) -> str:
    """Three digits that tell something, and no more than five characters; a dash where nothing was measured."""
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _models(bench: Bench) -> RenderableType:
    table = _table("size, and from nothing to an answer, in a process of its own")
    _add_columns(table, "bytes", "parameters", "load", "first answer", "peak memory")
    for model in bench.models:
        start = model.startup
        table.add_row(
            model.name,
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
    for model in bench.models:
        kept = describe_ratio(model.kept) if model.kept else ""
        table.add_row(model.name, score(model.quality.score) if model.quality else "", kept, _agreement(bench, model))
    return [table]


def _agreement(bench: Bench, model: BenchedModel) -> str:
    if model.agreement is None:
        return ""
    return f"r = {model.agreement:.3f}" if bench.task == "regression" else percent(model.agreement)


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
        for model in bench.models:
            each = next(each for each in model.throughput if each.threads == threads)
            ratio = f"{times(each.ratio.median)} ({each.ratio.low:.2f}–{each.ratio.high:.2f})" if each.ratio else ""
            energy = [f"{each.joules:.1f}" if each.joules is not None else "–"] if metered else []
            cells = [f"{each.threads}", f"{each.texts_per_second:,.0f}", f"{each.tokens_per_second:,.0f}", ratio]
            table.add_row(model.name, *cells, *energy)
        table.add_section()
    return table


def _latency(bench: Bench) -> RenderableType:
    table = _table("milliseconds of a call, p50 p95 p99, by tokens of a text")
    _add_columns(table, *(f"{length}" for length in bench.lengths))
    for batch_size, threads in product(bench.batch_sizes, bench.threads):
        texts = "1 text" if batch_size == 1 else f"{batch_size} texts"
        table.add_row(Text(f"{texts} on {describe_threads(threads)}", style="bold"))
        for model in bench.models:
            cells = [_percentiles(model.latency_at(length, batch_size, threads)) for length in bench.lengths]
            table.add_row(model.name, *cells)
        table.add_section()
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
