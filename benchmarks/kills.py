r"""Bulk scoring that is killed again and again: the output beside that of a run which nothing disturbs.

    python benchmarks/kills.py --model pocket --json runs/bench/kills.json

A Parquet file of real texts with columns of several types is scored once without disturbance; then the same run gets
SIGKILL at random moments, spread over the whole of its work, and is started again each time until it is through. The
two outputs are compared byte by byte, and the rows one by one with those of the input. Without `--model` a student of
DistilBERT's size with random weights is made and scored with.
"""

import argparse
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from common import PUBLIC_DATA, call, console, make_parser, print_table, write_result
from pocketbert.data.sources import read_records
from pocketbert.errors import PocketBertError
from pocketbert.files import hash_file

SOURCES = (("glue/SST-2/train.tsv", "sentence"), ("ag_news/test.jsonl", "text"), ("imdb/imdb.test.jsonl.zst", "text"))
ROWS, KILLS, PART_ROWS = 200_000, 20, 2048
SHORT_ROWS, SHORT_KILLS, SHORT_PART_ROWS = 2_000, 4, 64
POLL = 0.02
"""Seconds between two looks at a run that goes on."""


def main() -> None:
    """Make the input, run it twice, compare, print and write."""
    flags = _flags()
    folder = Path(flags.scratch)
    shutil.rmtree(folder / "outputs", ignore_errors=True)
    for name in ("whole", "killed"):
        (folder / "outputs" / name).mkdir(parents=True)
    texts = read_texts(Path(flags.data), flags.rows)
    model = Path(flags.model) if flags.model else _student(folder, texts, flags.short)
    write_input(folder / "input.parquet", texts)
    whole = run_whole(model, folder, flags)
    killed = run_killed(model, folder, flags, whole)
    row = compare(folder, whole, killed)
    _print(row)
    survived = row["kills"] if row["identical"] and row["rows_once_in_order"] else 0
    write_result(flags.json, "kills", survived, "kills after which the output is the same to the byte", [row])
    if not survived:
        raise PocketBertError("the outputs differ")


def _flags() -> argparse.Namespace:
    parser = make_parser(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", metavar="DIR", help="an exported classifier or embedding; one is made when absent")
    parser.add_argument("--data", default=str(PUBLIC_DATA), metavar="DIR", help="where the public data lies")
    parser.add_argument("--rows", type=int, metavar="N", help=f"of the input; {ROWS:,} when absent")
    parser.add_argument("--kills", type=int, metavar="N", help=f"{KILLS} when absent")
    parser.add_argument("--part-rows", type=int, metavar="N", help="rows that are kept together")
    parser.add_argument("--scratch", default="runs/bench/kills", metavar="DIR", help="where input and outputs lie")
    flags = parser.parse_args()
    flags.rows = flags.rows or (SHORT_ROWS if flags.short else ROWS)
    flags.kills = flags.kills or (SHORT_KILLS if flags.short else KILLS)
    flags.part_rows = flags.part_rows or (SHORT_PART_ROWS if flags.short else PART_ROWS)
    return flags


def read_texts(data: Path, count: int) -> list[str]:
    """Texts of three kinds in turn; over again where there are too few."""
    kinds = []
    for name, column in SOURCES:
        if not (data / name).is_file():
            raise PocketBertError(f"{data / name}: not there; name the folder of the public data with --data")
        records = islice(read_records([str(data / name)]), count)
        kinds.append(cycle([str(record.values.get(column) or record.values.get("description")) for record in records]))
    return [next(kinds[number % len(kinds)]) for number in range(count)]


def _student(folder: Path, texts: Sequence[str], short: bool) -> Path:
    from random_student import make_student

    return make_student(folder / ("short" if short else "student"), texts[:500], short)


def write_input(path: Path, texts: Sequence[str]) -> None:
    """Rows with an id and columns of several types; every 1,000th has no text and will fail."""
    count = len(texts)
    table = {
        "id": pa.array(range(count), pa.int64()),
        "text": pa.array([None if number % 1000 == 999 else text for number, text in enumerate(texts)]),
        "at": pa.array([1_700_000_000_000_000 + number for number in range(count)], pa.timestamp("us", "UTC")),
        "weight": pa.array([number / 7 for number in range(count)], pa.float32()),
        "source": pa.array([SOURCES[number % 3][0] for number in range(count)]).dictionary_encode(),
        "tags": pa.array([[number % 5, number % 7] for number in range(count)]),
    }
    pa.parquet.write_table(pa.table(table), path, row_group_size=50_000)


def _command(model: Path, folder: Path, name: str, flags: argparse.Namespace) -> list[str]:
    output = folder / "outputs" / name / "out.parquet"
    command = [sys.executable, "-m", "pocketbert.cli", "predict", str(model), str(folder / "input.parquet")]
    # Both runs with the same file: auto, asked twice, may choose another the second time, whose last digits differ.
    return [*command, "--output", str(output), "--part-rows", str(flags.part_rows), "--runtime", "onnxruntime"]


def run_whole(model: Path, folder: Path, flags: argparse.Namespace) -> dict[str, float]:
    """The run that nothing disturbs: its seconds, and those of them until the plan is there."""
    begin, start = time.monotonic(), 0.0
    process = subprocess.Popen(_command(model, folder, "whole", flags))
    while process.poll() is None:
        if not start and (folder / "outputs" / "whole" / ".out.parquet.parts" / "plan.json").exists():
            start = time.monotonic() - begin
        time.sleep(POLL)
    if process.returncode:
        raise PocketBertError(f"the run ended with {process.returncode}")
    return {"seconds": time.monotonic() - begin, "start": start}


def run_killed(model: Path, folder: Path, flags: argparse.Namespace, whole: dict[str, float]) -> dict[str, Any]:
    """The run that is killed, and started again until it is through."""
    draw, begin = random.Random(0), time.monotonic()
    work = folder / "outputs" / "killed" / ".out.parquet.parts"
    parts, moments = -(-flags.rows // flags.part_rows), list[int]()
    while True:
        process = subprocess.Popen(_command(model, folder, "killed", flags), stdout=subprocess.DEVNULL)
        if len(moments) == flags.kills:
            process.wait()
            break
        left = whole["seconds"] * (1 - _count(work) / parts) / (flags.kills - len(moments))
        moment = time.monotonic() + draw.uniform(0, whole["start"] + 2 * left)
        # No kill waits until there would be nothing left for those after it; the last may meet the merging.
        most = -(-parts * (len(moments) + 1) // flags.kills)
        while process.poll() is None and time.monotonic() < moment and _count(work) < most:
            time.sleep(POLL)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        moments.append(_count(work))
        console.print(f"kill {len(moments)}: {moments[-1]} of {parts} parts were there", highlight=False)
    if process.returncode:
        raise PocketBertError(f"the run ended with {process.returncode}")
    return {"seconds": time.monotonic() - begin, "moments": moments}


def _count(work: Path) -> int:
    """Parts that are there."""
    return len(list(work.glob("part-*.parquet")))


def compare(folder: Path, whole: dict[str, float], killed: dict[str, Any]) -> dict[str, Any]:
    """Whether both outputs are the same, and hold each row of the input once and in order."""
    names = ("out.parquet", "out.parquet.failed.jsonl", "out.parquet.manifest.json")
    hashes = [[hash_file(folder / "outputs" / kind / name) for name in names] for kind in ("whole", "killed")]
    given = pa.parquet.read_table(folder / "input.parquet")
    found = pa.parquet.read_table(folder / "outputs" / "killed" / "out.parquet")
    kept = given.filter(pa.compute.is_valid(given["text"]))
    left = {path.name for path in (folder / "outputs" / "killed").iterdir()} - set(names)
    return {
        "rows": given.num_rows,
        "failed": given.num_rows - kept.num_rows,
        "kills": len(killed["moments"]),
        "parts_at_kills": killed["moments"],
        "identical": hashes[0] == hashes[1] and not left,
        "rows_once_in_order": _plain(found.select(kept.column_names)).equals(_plain(kept)),
        "seconds_undisturbed": whole["seconds"],
        "seconds_killed": killed["seconds"],
    }


def _plain(table: pa.Table) -> pa.Table:
    """The same values without dictionaries, in whose order two tables of the same rows may differ."""
    plain = [
        pa.field(each.name, pa.string() if pa.types.is_dictionary(each.type) else each.type) for each in table.schema
    ]
    return table.cast(pa.schema(plain))


def _print(row: dict[str, Any]) -> None:
    header = ["rows", "failed", "kills", "same bytes", "rows once, in order", "undisturbed, s", "killed, s"]
    cells = [f"{row['rows']:,}", f"{row['failed']:,}", str(row["kills"])]
    cells += ["yes" if row[name] else "NO" for name in ("identical", "rows_once_in_order")]
    cells += [f"{row[name]:,.1f}" for name in ("seconds_undisturbed", "seconds_killed")]
    print_table("Killed and run again", header, [cells])


if __name__ == "__main__":
    call(main)
