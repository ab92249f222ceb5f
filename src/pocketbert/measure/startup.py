"""From nothing to an answer: load time, first answer and memory, each time in a process of its own.

This file is also what runs in that process. It imports no more than the engine needs, for that is what is measured.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketbert.engines.base import Engine
from pocketbert.engines.exported import is_exported, model_folder, open_file
from pocketbert.errors import PocketBertError
from pocketbert.measure.results import Startup

Arrays = dict[str, NDArray[Any]]

_STATUS = Path("/proc/self/status")


def measure_startup(reference: str, task: str, threads: int, batches: Sequence[Arrays], folder: Path) -> Startup:
    """Start a process that loads a model and answers.

    Args:
        reference: a model directory or an exported file.
        task: what is asked of it.
        threads: of one call.
        batches: padded inputs; the first is the first answer, all count for the memory.
        folder: for a temporary file.

    Raises:
        PocketBertError: the process ended without an answer.
    """
    path = folder / "batches.npz"
    arrays = {f"{number} {name}": array for number, batch in enumerate(batches) for name, array in batch.items()}
    np.savez(path, **arrays)  # type: ignore[arg-type]  # it takes arrays by name, beside its one option
    options = {"--reference": reference, "--task": task, "--threads": threads, "--batches": path}
    # -P: modules are looked for where Python has them, not among the files of the user's folder.
    command = [sys.executable, "-P", "-m", __name__, *(str(each) for pair in options.items() for each in pair)]
    done = subprocess.run(  # noqa: S603 - this very program
        [*command, "--started", repr(time.time())], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise PocketBertError(f"{reference}: a process that runs it ended with {done.returncode}: {reason}")
    return Startup.model_validate_json(done.stdout.splitlines()[-1])


def peak_memory() -> int:
    """Most bytes of memory that this process has held."""
    if _STATUS.is_file():
        # Not getrusage: its peak is that of the parent where this is more.
        lines = dict(line.split(":", 1) for line in _STATUS.read_text(encoding="ascii").splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Load, answer, and print what it took."""
    flags = _flags()
    engine = _open(flags.reference, flags.task, flags.threads)
    ready = time.time()
    batches = _read_batches(flags.batches)
    start = time.perf_counter()
    engine.run(batches[0])
    first = time.perf_counter() - start
    for batch in batches:
        engine.run(batch)
    startup = {"load_seconds": ready - flags.started, "first_answer_seconds": first, "peak_bytes": peak_memory()}
    sys.stdout.write(json.dumps(startup) + "\n")


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name, kind in (("reference", str), ("task", str), ("threads", int), ("batches", Path), ("started", float)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    return parser.parse_args()


def _open(reference: str, task: str, threads: int) -> Engine:
    """The engine and, because nobody answers without it, the tokenizer."""
    if is_exported(reference):
        from tokenizers import Tokenizer

        Tokenizer.from_file(str(model_folder(Path(reference)) / "tokenizer.json"))
        return open_file(Path(reference), threads)
    import torch

    from pocketbert.measure.opening import open_model

    torch.set_num_threads(threads)
    return open_model(reference, task, on_cpu=True).engine


def _read_batches(path: Path) -> list[Arrays]:
    batches: dict[int, Arrays] = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            number, name = key.split(" ", 1)
            batches.setdefault(int(number), {})[name] = arrays[key]
    return [batches[number] for number in sorted(batches)]


if __name__ == "__main__":
    main()
