"""Rows that are not published as files of a train and a test split, written once into the folder of the run."""

import json
from pathlib import Path

from pocketbert.data.objects import load_json
from pocketbert.errors import DataError
from pocketbert.files import write_atomically

QNLI = "glue/QNLI/dev.tsv"
CLINC150 = "clinc150/data_full.json"
TESTED = 4
"""One of so many QNLI rows is reported; the others are learnt from."""


def split_qnli(data: Path, folder: Path) -> None:
    """Split the development rows, which are all that is there: every fourth is reported, whatever the seed.

    Args:
        data: folder of the public data.
        folder: that gets ``train.tsv`` and ``test.tsv``, with the file's header.
    """
    # Not splitlines: it takes characters inside a text for the end of a line too.
    header, *rows = _existing(data / QNLI).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    tested = rows[TESTED - 1 :: TESTED]
    learnt = [row for number, row in enumerate(rows, start=1) if number % TESTED]
    for name, part in {"train": learnt, "test": tested}.items():
        write_atomically(folder / f"{name}.tsv", "\n".join([header, *part]) + "\n")


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
