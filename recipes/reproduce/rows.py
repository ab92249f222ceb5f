"""Rows that are not published as files of a train and a test split, written once into the folder of the run."""

import json
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pocketbert.data.objects import load_json
from pocketbert.errors import DataError
from pocketbert.files import hash_text, write_atomically

QNLI = "glue/QNLI/dev.tsv"
CLINC150 = "clinc150/data_full.json"
SHARES = {"test": 0.25, "val": 0.06}
"""Of the QNLI rows that are reported, and that checkpoints are chosen by; the others are learnt from."""


def split_qnli(data: Path, folder: Path) -> None:
    """Split the development rows, which are all that is there, into three parts that share no question or sentence.

    Half of the questions stand there twice, once with the sentence that answers it and once with another: who has
    learnt the one knows that the label of the other is the opposite.

    Args:
        data: folder of the public data.
        folder: that gets ``train.tsv``, ``val.tsv`` and ``test.tsv``, with the file's header.
    """
    # Not splitlines: it takes characters inside a text for the end of a line too.
    header, *rows = _existing(data / QNLI).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    groups = sorted(_related(rows), key=lambda group: hash_text(rows[group[0]]))
    # The largest has half of the rows.
    groups.remove(largest := max(groups, key=len))
    for name, share in SHARES.items():
        part: list[int] = []
        while len(part) < share * len(rows) and groups:
            part += groups.pop()
        _write(folder / f"{name}.tsv", header, rows, part)
    _write(folder / "train.tsv", header, rows, [*largest, *(number for group in groups for number in group)])


def _related(rows: list[str]) -> list[list[int]]:
    """Numbers of the rows that hang together, by a question or a sentence that two of them have."""
    first: dict[tuple[str, str], int] = {}
    ones, others = [], []
    for number, row in enumerate(rows):
        _, question, sentence, _ = row.split("\t")
        for key in (("question", question.strip().casefold()), ("sentence", sentence.strip().casefold())):
            ones.append(first.setdefault(key, number))
            others.append(number)
    links = coo_array((np.ones(len(ones)), (ones, others)), shape=(len(rows), len(rows)))
    count, group_of = connected_components(links, directed=False)
    return [np.flatnonzero(group_of == group).tolist() for group in range(count)]


def _write(path: Path, header: str, rows: list[str], numbers: list[int]) -> None:
    write_atomically(path, "\n".join([header, *(rows[number] for number in sorted(numbers))]) + "\n")


def unpack_clinc150(data: Path, folder: Path) -> None:
    """Write the rows of the 150 intents as JSON lines; the rows that belong to none are left out.

    Args:
        data: folder of the public data.
        folder: that gets ``train.jsonl``, ``val.jsonl`` and ``test.jsonl``.
    """
    splits = load_json(_existing(data / CLINC150))
    for name in ("train", "val", "test"):
        lines = [json.dumps({"text": text, "label": label}) + "\n" for text, label in splits[name]]
        write_atomically(folder / f"{name}.jsonl", "".join(lines))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; name the folder of the data by --data, or leave its task out of --tasks"
        )
    return path


MAKERS = {"QNLI": (QNLI, split_qnli), "CLINC150": (CLINC150, unpack_clinc150)}
"""By task: the published file, and what makes rows of it."""
