r"""Many texts, tokenising included: PocketBERT beside its neighbours, on the same student and the same texts, in turn.

    python benchmarks/bulk.py --neighbours other/bin/python --json runs/bench/bulk.json

The texts are real ones, mixed from IMDb, AG News and SST-2; the student has DistilBERT's size and random weights, which
run as fast as any. Each way is a process of its own that waits while others are timed. `--neighbours` names a Python
that has sentence-transformers, optimum-intel, datasets, fastembed and ctranslate2; what it lacks is left out and named.
Slow ways are timed on the first texts alone, and compared with ours on those same texts.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

from bulk_ways import NEIGHBOURS
from common import PUBLIC_DATA, call, compare_rounds, console, make_parser, print_table, write_result
from pocketbert.data.sources import read_records
from pocketbert.errors import PocketBertError
from pocketbert.measure.wording import times
from random_student import make_bert_base, make_student

SOURCES = (
    ("imdb/imdb.test.jsonl.zst", 0.12, ("text",)),
    ("ag_news/test.jsonl", 0.38, ("text", "title", "description")),
    ("glue/SST-2/train.tsv", 0.5, ("sentence",)),
)
"""A file, its share of the texts, and the columns that may hold them."""
OURS = "PocketBERT int8"
GOALS = {"sorted": 1.3, "first come": 3.0, "BERT-base": 30.0}
"""By what a way is: how many times its texts a second ours are to be."""


@dataclass
class Way:
    """A way to run the student, in a process of its own.

    Attributes:
        name: of it.
        kind: which goal it is held to: ``sorted``, ``first come``, ``BERT-base``; empty for ours.
        share: of the texts that it is timed on.
        process: that runs it.
        seconds: of each round.
        beside: seconds of ours on the same texts in the same round.
        tokens: that it reads, in all its texts.
    """

    name: str
    kind: str
    share: float
    process: "subprocess.Popen[str]"
    seconds: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    memory: float = 0.0

    def run(self, count: int) -> float:
        """Seconds that it takes for the first texts."""
        answer = _ask(self.process, f"{count}\n")
        self.memory = answer["memory"]
        return float(answer["seconds"])


def main() -> None:
    """Make student and texts, start the ways, time them in turn, print and write."""
    flags = _flags()
    folder = Path(flags.scratch)
    folder.mkdir(parents=True, exist_ok=True)
    texts = read_mixed(200 if flags.short else flags.texts)
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    student = make_student(folder / ("short" if flags.short else "student"), texts, flags.short)
    base = make_bert_base(folder / "bert-base", flags.short)
    ways, missing = _start(flags, folder, student, base)
    ours, best = ways[0], list[float]()
    for number in range(1 if flags.short else flags.rounds):
        whole = ours.run(len(texts))
        ours.seconds.append(whole)
        best.append(_best_shape(student, flags.threads, flags.short))
        for way in ways[1:]:
            count = max(1, round(way.share * len(texts)))
            # Slow ways see fewer texts; so do ours then, for fewer are sorted less well.
            way.beside.append(whole if count == len(texts) else ours.run(count))
            way.seconds.append(way.run(count))
            console.print(f"round {number + 1}: {way.name} {count / way.seconds[-1]:,.1f} texts/s", highlight=False)
    for way in ways:
        way.process.stdin.close()  # type: ignore[union-attr]
    rows = [_row(way, len(texts)) for way in ways]
    speeds = [_tokens(student, texts) / each for each in ours.seconds]
    rows[0] |= {"tokens_per_second": speeds, "tokens_per_second_at_best_shape": best}
    rows[0]["share_of_best_shape"] = compare_rounds(speeds, best)
    _print(rows, missing, texts)
    ratios = [row["ours_against_it"] for row in rows[1:] if row["kind"] == "sorted"]
    write_result(flags.json, "bulk", min(ratios, default=None), "times the texts/s of the best neighbour", rows)


def _flags() -> argparse.Namespace:
    parser = make_parser(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--texts", type=int, default=20_000, metavar="N", help="how many")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds in turn")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of every way")
    parser.add_argument("--neighbours", default=sys.executable, metavar="PYTHON", help="a Python that has the others")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="ways to time beside ours; all when absent")
    parser.add_argument("--scratch", default="runs/bench/bulk", metavar="DIR", help="where student and texts lie")
    return parser.parse_args()


def read_mixed(count: int) -> list[str]:
    """Real texts of very different lengths, in an order of their own."""
    chosen = random.Random(0)
    texts: list[str] = []
    for name, share, columns in SOURCES:
        path = PUBLIC_DATA / name
        if not path.is_file():
            raise PocketBertError(f"{path}: not there; the public data beside the project is needed")
        rows = list(islice(read_records([str(path)]), 20 * count))
        found = [" ".join(str(row.values[each]) for each in columns if each in row.values) for row in rows]
        texts += chosen.sample(found, round(share * count))
    chosen.shuffle(texts)
    return texts


def _start(flags: argparse.Namespace, folder: Path, student: Path, base: Path) -> tuple[list[Way], list[str]]:
    ways = [Way(OURS, "", 1.0, _process(sys.executable, "pocketbert", folder, student, flags.threads))]
    missing = []
    for name, (kind, share) in NEIGHBOURS.items():
        if flags.only is not None and name not in flags.only:
            continue
        model = base if kind == "BERT-base" else student
        console.print(f"starting {name}", highlight=False)
        process = _process(flags.neighbours, name, folder, model, flags.threads)
        try:
            _read(process)
        except PocketBertError as error:
            missing.append(f"{name}: {error}")
            continue
        ways.append(Way(name, kind, share, process))
    _read(ways[0].process)
    return ways, missing


def _process(python: str, name: str, folder: Path, model: Path, threads: int) -> "subprocess.Popen[str]":
    script = str(Path(__file__).with_name("bulk_ways.py"))
    command = [python, script, name, str(model), str(folder / "texts.json"), str(threads)]
    log = (folder / f"{name.replace(' ', '-')}.log").open("w", encoding="utf-8")
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)


def _ask(process: "subprocess.Popen[str]", line: str) -> dict[str, Any]:
    into: IO[str] = process.stdin  # type: ignore[assignment]
    into.write(line)
    into.flush()
    return _read(process)


def _read(process: "subprocess.Popen[str]") -> dict[str, Any]:
    for line in process.stdout or ():
        if line.startswith("{"):
            answer: dict[str, Any] = json.loads(line)
            if "error" in answer:
                raise PocketBertError(answer["error"])
            return answer
    raise PocketBertError("ended before it answered")


def _row(way: Way, texts: int) -> dict[str, Any]:
    count = max(1, round(way.share * texts))
    ratio = compare_rounds(way.seconds, way.beside) if way.beside else None
    return {
        "way": way.name,
        "kind": way.kind,
        "texts": count,
        "texts_per_second": count / statistics.median(way.seconds),
        "ours_against_it": ratio,
        "memory": way.memory,
        "rounds": way.seconds,
        "rounds_of_ours": way.beside,
    }


def _tokens(student: Path, texts: Sequence[str]) -> int:
    from pocketbert.engines.encoding import load_tokenizer

    tokenizer = load_tokenizer(student)
    tokenizer.enable_truncation(512)
    return sum(len(each.ids) for each in tokenizer.encode_batch_fast(list(texts)))


def _best_shape(student: Path, threads: int, short: bool) -> float:
    """Tokens a second at the best shape, as `pocketbert bench` measures it: calls of one stream, without tokenising."""
    from pocketbert import pipeline
    from pocketbert.inference import load

    path = str(student / load(student, threads=threads, streams=threads).path)  # the file that ours runs
    found = pipeline.bench(
        [path], lengths=[32, 64, 128], batch_sizes=[8, 32], threads=[threads], seconds=5 if short else 30
    )
    return max(1000 * each.batch_size * each.tokens / each.p50 for each in found.models[0].latency)


def _print(rows: list[dict[str, Any]], missing: list[str], texts: Sequence[str]) -> None:
    header = ["way", "batches", "texts", "texts/s", "ours against it", "goal", "memory, MB"]
    cells = [
        [
            row["way"],
            row["kind"],
            f"{row['texts']:,}",
            f"{row['texts_per_second']:,.1f}",
            times(row["ours_against_it"]) if row["ours_against_it"] else "",
            times(GOALS[row["kind"]]) if row["kind"] else "",
            f"{row['memory'] / 1e6:,.0f}",
        ]
        for row in rows
    ]
    print_table(f"{len(texts):,} texts, {len(rows[0]['rounds'])} rounds in turn", header, cells)
    speed = statistics.median(rows[0]["tokens_per_second"])
    best = statistics.median(rows[0]["tokens_per_second_at_best_shape"])
    console.print(
        f"ours: {speed:,.0f} tokens/s, {rows[0]['share_of_best_shape']:.2f} of the {best:,.0f} "
        "that bench measures at the best shape, in turn",
        highlight=False,
    )
    for each in missing:
        console.print(f"not measured: {each}", highlight=False)


if __name__ == "__main__":
    call(main)
