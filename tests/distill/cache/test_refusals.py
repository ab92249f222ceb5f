"""A cache made from something else is refused by the command line, by the name of what differs."""

import json
import re

import pytest

import tiny

OPTIONS = [
    "--block",
    "16",
    "--steps",
    "2",
    "--batch-size",
    "4",
    "--precision",
    "fp32",
    "--losses-soft-targets",
    "1",
    "--signals",
    "cached",
    "--cache-top-k",
    "5",
]


@pytest.fixture
def made(tmp_path, cli):
    """A teacher and text, a cache that was filled for a student, and another student's run."""
    tiny.make_checkpoint(tmp_path / "teacher")
    tiny.write_text(tmp_path / "text.txt", 40)

    def run(name, *more):
        text = ["--corpus", tmp_path / "text.txt", "--cache-folder", tmp_path / "cache"]
        return cli("distill", tmp_path / "teacher", *text, *OPTIONS, "--output", tmp_path / name, *more)

    assert run("first").code == 0
    return run


def refused(done, name):
    assert done.code == 2 and "Traceback" not in done.err
    said = rf"cache: this cache was made with another {name} \([^()]+, not [^()]+\); delete it, or name another folder"
    return re.search(said, done.err) is not None


def test_another_tokenizer(made, tmp_path):
    path = tmp_path / "teacher" / "tokenizer.json"
    tree = json.loads(path.read_text())
    vocabulary = tree["model"]["vocab"]
    vocabulary["cat"], vocabulary["dog"] = vocabulary["dog"], vocabulary["cat"]
    path.write_text(json.dumps(tree))
    assert refused(made("second"), "tokenizer")


def test_another_teacher(made, tmp_path):
    tiny.make_checkpoint(tmp_path / "teacher", seed=1)
    assert refused(made("second"), "teacher")


def test_another_seed(made):
    assert refused(made("second", "--seed", "1"), "mask seed")


def test_other_data(made, tmp_path):
    tiny.write_text(tmp_path / "text.txt", 41)
    assert refused(made("second"), "data")


def test_other_masking(made):
    assert refused(made("second", "--masking-rate", "0.2"), "masking")


def test_masks_with_a_seed_of_their_own_serve_runs_of_any_seed(made, tmp_path):
    """The seed of the run still decides order and dropout; an order that sees other samples adds them."""
    done = made("second", "--seed", "1", "--masking-seed", "0")
    assert done.code == 0, done.err
    index = json.loads((tmp_path / "cache" / "index.json").read_text())
    assert index["entries"] > 12 and index["key"]["mask seed"] == "0"


def test_rows_of_a_task_depend_on_no_seed_but_on_their_texts(tmp_path, cli):
    tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification")
    rows = tiny.write_reviews(tmp_path / "rows.csv", 60)
    options = [
        "--task",
        "classification",
        "--max-length",
        "32",
        "--steps",
        "2",
        "--precision",
        "fp32",
        "--signals",
        "cached",
    ]

    def run(name, *more):
        place = ["--train", rows, "--cache-folder", tmp_path / "cache", "--output", tmp_path / name]
        return cli("distill", tmp_path / "teacher", *options, *place, *more)

    assert run("first").code == 0
    assert run("second", "--seed", "1").code == 0
    assert refused(run("third", "--max-length", "8"), "data")
    tiny.write_reviews(rows, 60, seed=1)
    assert refused(run("fourth"), "data")


def test_a_cache_without_cached_signals_is_refused(cli, tmp_path):
    done = cli("distill", tmp_path, "--output", tmp_path / "out", "--cache-top-k", "5")
    assert done.code == 2 and "set signals: cached" in done.err
