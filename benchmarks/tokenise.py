"""Building a corpus beside the bare tokenizer: peak memory, tokens/s, and the share of the bare rate that is left.

    python benchmarks/tokenise.py --json runs/bench/tokenise.json

Each build and each bare round is a process of its own, in turn on the same text. The build reads, tokenises and
writes; the bare rate counts the calls of ``tokenizers`` alone, its ids thrown away.
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common import PUBLIC_DATA, call, compare_rounds, make_parser, measure_in_turn, print_table, write_result
from pocketbert.data.sources import read_texts
from pocketbert.errors import PocketBertError

FULL_BYTES = 200_000_000
SHORT_BYTES = 10_000_000
VOCABULARY = 30522
VOCABULARY_CHARACTERS = 5_000_000
"""Text that the tokenizer is learnt from."""


def main() -> None:
    """Make the text, measure in turn, print and write."""
    flags = _flags()
    if flags.worker:
        WORKERS[flags.worker](Path(flags.folder))
        return
    rounds = flags.rounds or (2 if flags.short else 3)
    with tempfile.TemporaryDirectory(dir=flags.scratch) as name:
        folder = Path(name)
        size = _write_text(folder / "text.txt", flags.text, SHORT_BYTES if flags.short else FULL_BYTES)
        _work("learn", folder)
        names = ("corpus", "bare")
        results = measure_in_turn({name: lambda name=name: _work(name, folder) for name in names}, rounds)
    rows = _summarise(results, size)
    print_table(f"{size / 1e6:.0f} MB of text, {rounds} rounds in turn", *_table(rows))
    write_result(flags.json, "tokenise", rows[0]["share_of_bare"], "share of the bare tokenizers rate", rows)


def _flags() -> argparse.Namespace:
    parser = make_parser(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--text", nargs="+", metavar="SOURCE", help="text to use; public or embedded text when absent")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds in turn")
    parser.add_argument("--scratch", metavar="DIR", help="where text and corpus lie meanwhile")
    parser.add_argument("--worker", choices=list(WORKERS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


def _write_text(path: Path, sources: list[str] | None, wanted: int) -> int:
    """Write documents of the sources, over again where they are too little, until there are enough bytes."""
    public = PUBLIC_DATA / "text"
    sources = sources or ([str(public / "wikipedia*.txt.zst")] if public.is_dir() else ["embedded:text"])
    size = 0
    with path.open("wb") as file:
        for text in itertools.chain.from_iterable(read_texts(sources) for _ in itertools.count()):
            size += file.write(" ".join(text.split()).encode() + b"\n\n")
            if size >= wanted:
                return size
    raise PocketBertError("--text: there is no text in it")


def _work(worker: str, folder: Path) -> dict[str, Any]:
    """Run a worker in a process of its own, and read what it measured from its last line."""
    command = [sys.executable, __file__, "--worker", worker, "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    if done.returncode:
        raise PocketBertError(f"worker {worker} ended with {done.returncode}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _learn(folder: Path) -> None:
    """Learn the tokenizer that all rounds share."""
    from pocketbert.models.tokenizers import train_wordpiece

    def texts() -> Iterator[str]:
        return _first(read_texts([str(folder / "text.txt")]))

    tokenizer = train_wordpiece(texts, VOCABULARY, lowercase=True, positions=512)
    tokenizer.save_pretrained(folder / "tokenizer")
    _report(tokens=0, seconds=0.0)


def _build(folder: Path) -> None:
    """Build the corpus as training does; everything between text on disk and shards on disk is timed."""
    from pocketbert.data.corpus import build_corpus
    from pocketbert.models.loading import load_tokenizer

    tokenizer = load_tokenizer(str(folder / "tokenizer"))
    with tempfile.TemporaryDirectory(dir=folder) as output:
        start = time.perf_counter()
        corpus = build_corpus(read_texts([str(folder / "text.txt")]), tokenizer, Path(output), key="benchmark")
        seconds = time.perf_counter() - start
    _report(tokens=corpus.tokens - corpus.documents, seconds=seconds)


def _encode(folder: Path) -> None:
    """Encode the same batches with the bare tokenizer; nothing but its calls is timed."""
    from tokenizers import Tokenizer

    from pocketbert.data.corpus import batch_texts

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))
    tokenizer.no_truncation()
    tokens, seconds = 0, 0.0
    for batch in batch_texts(read_texts([str(folder / "text.txt")])):
        start = time.perf_counter()
        encodings = tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        seconds += time.perf_counter() - start
        tokens += sum(map(len, encodings))
    _report(tokens=tokens, seconds=seconds)


WORKERS: dict[str, Callable[[Path], None]] = {"learn": _learn, "corpus": _build, "bare": _encode}


def _first(texts: Iterator[str]) -> Iterator[str]:
    characters = 0
    for text in texts:
        yield text
        characters += len(text)
        if characters >= VOCABULARY_CHARACTERS:
            return


def _report(tokens: int, seconds: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    print(json.dumps({"tokens": tokens, "seconds": seconds, "peak_bytes": peak * unit}))


def _summarise(results: dict[str, list[dict[str, Any]]], size: int) -> list[dict[str, Any]]:
    """A row for each way: its median rate, its greatest peak memory, and its share of the bare rate."""
    rates = {name: [each["tokens"] / each["seconds"] for each in rounds] for name, rounds in results.items()}
    return [
        {
            "way": name,
            "text_bytes": size,
            "tokens": rounds[0]["tokens"],
            "tokens_per_second": sorted(rates[name])[len(rounds) // 2],
            "peak_bytes": max(each["peak_bytes"] for each in rounds),
            "share_of_bare": compare_rounds(rates[name], rates["bare"]),
            "rounds": rounds,
        }
        for name, rounds in results.items()
    ]


def _table(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    header = ["way", "tokens", "tokens/s", "share of the bare rate", "peak memory"]
    cells = [
        [
            row["way"],
            f"{row['tokens']:,}",
            f"{row['tokens_per_second']:,.0f}",
            f"{row['share_of_bare']:.2f}",
            f"{row['peak_bytes'] / 1e6:,.0f} MB",
        ]
        for row in rows
    ]
    return header, cells


if __name__ == "__main__":
    call(main)
