"""Text that fills blocks, and text that does not."""

import io
import json
import re
from contextlib import suppress

import jobs
import pytest
from rich.console import Console

import tiny
from pocketbert import bars
from pocketbert.data import corpus
from pocketbert.distill.texts import open_corpus, prepare_texts
from pocketbert.errors import DataError
from pocketbert.recipe import PretrainStage

TOKENIZER = tiny.make_tokenizer("bert")


def prepare(tmp_path, documents, held_out=None, block=16):
    sources = [str(tiny.write_text(tmp_path / "text.txt", documents))]
    checks = None if held_out is None else [str(tiny.write_text(tmp_path / "held-out.txt", held_out, seed=1))]
    options = PretrainStage(corpus=sources, held_out=checks, block=block)
    return prepare_texts(options, TOKENIZER, tmp_path / "corpora", jobs.QUIET)


@pytest.mark.parametrize(("documents", "held_out", "message"), [
    (1, None, r"text\.txt: \d+ tokens fill 0 blocks of 48; give more text, at least 2 must be full"),
    (1, 40, r"text\.txt: \d+ tokens fill 0 blocks of 48; give more text, at least 1 must be full"),
    (40, 1, r"held-out\.txt: \d+ tokens fill 0 blocks of 48; give more text, at least 1 must be full"),
])  # fmt: skip
def test_text_that_fills_no_block_is_refused_by_name(tmp_path, documents, held_out, message):
    with pytest.raises(DataError, match=message):
        prepare(tmp_path, documents, held_out, block=48)


def test_two_blocks_are_enough(tmp_path):
    tokens = prepare(tmp_path, 8).tokens
    texts = prepare(tmp_path, 8, block=tokens // 2 + 2)
    assert (len(texts.train), len(texts.validation)) == (1, 1)
    with pytest.raises(DataError, match="fill 1 blocks"):
        prepare(tmp_path, 8, block=tokens // 2 + 3)


def test_held_out_text_leaves_every_block_to_learn_from(tmp_path):
    texts = prepare(tmp_path, 40, held_out=10)
    assert texts.train.corpus.folder != texts.validation.corpus.folder
    assert len(texts.train) == texts.train.corpus.blocks(16)
    assert len(texts.validation) == texts.validation.corpus.blocks(16)


def test_a_guessed_text_column_is_told_when_the_text_is_tokenised(tmp_path):
    rows = [{"id": "x", "review": "the fine cat"}, {"id": "y", "review": "a dull dog"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    console = Console(file=io.StringIO())
    assert open_corpus([str(tmp_path / "a.jsonl")], TOKENIZER, tmp_path / "corpora", console).documents == 2
    assert "guessed columns: text_column='review'" in console.file.getvalue().splitlines()


def test_tokenising_tells_how_far_it_is_where_there_is_no_terminal(tmp_path, monkeypatch):
    """Also when it goes on after a kill: what was there before counts as done."""
    monkeypatch.setattr(bars, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(corpus, "BATCH_CHARACTERS", 200)
    text = tiny.write_text(tmp_path / "text.txt", 40)
    total = sum(map(len, text.read_text().strip().split("\n\n")))
    append, batches = corpus._append, iter(range(3))

    def append_three(*args):
        if next(batches, None) is None:
            raise KeyboardInterrupt
        append(*args)

    def tokenise():
        console = Console(file=io.StringIO(), width=200)
        with suppress(KeyboardInterrupt):
            open_corpus([str(text)], TOKENIZER, tmp_path / "corpora", console)
        lines = re.findall(r"^tokenising: ([\d,]+) of ([\d,]+) characters · .* left$", console.file.getvalue(), re.M)
        return [tuple(int(number.replace(",", "")) for number in line) for line in lines]

    monkeypatch.setattr(corpus, "_append", append_three)
    begun = tokenise()
    monkeypatch.setattr(corpus, "_append", append)
    rest = tokenise()
    assert len(begun) == 3 and {whole for _, whole in begun + rest} == {total}
    done = [each for each, _ in begun + rest]
    assert done == sorted(set(done)) and done[0] >= 200 and done[-1] == total


def test_the_text_column_can_be_named(tmp_path):
    rows = [{"review": "the cat sat " * 9, "answer": "a dog ran " * 9}] * 30
    table = tmp_path / "a.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    console = Console(file=io.StringIO())
    streams = []
    for column in ("review", "answer"):
        read = open_corpus([str(table)], TOKENIZER, tmp_path / "corpora", console, column)
        streams.append(TOKENIZER.decode(read.block(0, 12, TOKENIZER.cls_token_id, TOKENIZER.sep_token_id)))
    assert "cat" in streams[0] and "dog" in streams[1]
    assert "guessed" not in console.file.getvalue()
