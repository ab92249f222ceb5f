"""The tokenised corpus: what is in it, and what a kill leaves."""

import itertools
import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from memory import least_peak
from pocketbert.data import corpus as module
from pocketbert.data.corpus import Corpus, build_corpus, read_index
from pocketbert.errors import DataError

TOKENIZER = tiny.make_tokenizer("bert")
TEXTS = [f"the {word} saw a {other} near the grey barn" for word in tiny.ANIMALS for other in tiny.PLACES] * 3
SEPARATOR = TOKENIZER.sep_token_id


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Flushes every few documents, and shards of a few flushes."""
    monkeypatch.setattr(module, "BATCH_CHARACTERS", 200)
    monkeypatch.setattr(module, "SHARD_TOKENS", 150)


def stream(texts=TEXTS):
    """The ids by direct tokenisation."""
    return list(
        itertools.chain.from_iterable(
            [*TOKENIZER(text, add_special_tokens=False)["input_ids"], SEPARATOR] for text in texts
        )
    )


def contents(corpus, block=10):
    """The stream as the blocks give it."""
    rows = [corpus.block(number, block, 2, 3) for number in range(corpus.blocks(block))]
    assert all(row[0] == 2 and row[-1] == 3 and len(row) == block for row in rows)
    return [int(number) for row in rows for number in row[1:-1]]


def files(folder):
    """Bytes of what counts in a corpus folder."""
    index = read_index(folder)
    shards = [(folder / f"tokens-{number:05d}.bin") for number, length in enumerate(index["shards"]) if length]
    return [path.read_bytes() for path in shards], (folder / "counts.npy").read_bytes(), index


def test_a_corpus_is_the_direct_tokenisation(tmp_path):
    corpus = build_corpus(TEXTS, TOKENIZER, tmp_path, "key")
    expected = stream()
    assert len(read_index(tmp_path)["shards"]) > 3
    assert corpus.tokens == len(expected) and corpus.documents == len(TEXTS)
    assert contents(corpus) == expected[: len(expected) // 8 * 8]
    assert corpus.counts.tolist() == np.bincount(expected, minlength=len(TOKENIZER)).tolist()


@pytest.mark.parametrize("block", [3, 7, 64, 300])
def test_blocks_of_any_length_cross_shards(tmp_path, block):
    expected = stream()
    corpus = build_corpus(TEXTS, TOKENIZER, tmp_path, "key")
    content = block - 2
    assert corpus.blocks(block) == len(expected) // content
    assert contents(corpus, block) == expected[: len(expected) // content * content]


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the build catches it."""


def dying(texts, after):
    """Texts that end in a kill."""
    yield from texts[:after]
    raise Killed


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of a build that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BATCH_CHARACTERS", 200)
        patch.setattr(module, "SHARD_TOKENS", 150)
        build_corpus(TEXTS, TOKENIZER, folder, "key")
    return files(folder)


@settings(deadline=None, max_examples=30)
@given(kills=st.lists(st.integers(0, len(TEXTS)), max_size=4))
def test_a_build_killed_anywhere_ends_in_the_same_bytes(tmp_path_factory, whole, kills):
    folder = tmp_path_factory.mktemp("killed")
    for after in kills:
        with pytest.raises(Killed):
            build_corpus(dying(TEXTS, after), TOKENIZER, folder, "key")
        assert not read_index(folder).get("complete")
    build_corpus(TEXTS, TOKENIZER, folder, "key")
    assert files(folder) == whole


@pytest.mark.parametrize(
    ("step", "calls"), [*itertools.product(["_append", "_write_index"], [0, 1, 5]), ("_finish", 0)]
)
def test_a_build_killed_between_shard_and_index_ends_in_the_same_bytes(tmp_path, whole, monkeypatch, step, calls):
    real, seen = getattr(module, step), iter(range(1000))

    def die_after(*arguments):
        if next(seen) >= calls:
            if step == "_append":
                real(*arguments)
            raise Killed
        return real(*arguments)

    monkeypatch.setattr(module, step, die_after)
    with pytest.raises(Killed):
        build_corpus(TEXTS, TOKENIZER, tmp_path, "key")
    monkeypatch.setattr(module, step, real)
    build_corpus(TEXTS, TOKENIZER, tmp_path, "key")
    assert files(tmp_path) == whole


def test_a_killed_build_goes_on_instead_of_beginning_again(tmp_path):
    with pytest.raises(Killed):
        build_corpus(dying(TEXTS, 30), TOKENIZER, tmp_path, "key")
    done = read_index(tmp_path)["documents"]
    assert done > 20
    progress = []
    corpus = build_corpus(TEXTS, TOKENIZER, tmp_path, "key", progress.append)
    assert sum(progress) == sum(map(len, TEXTS[done:]))
    assert (corpus.documents, corpus.tokens) == (len(TEXTS), len(stream()))


def test_a_finished_corpus_is_opened_without_reading_a_text(tmp_path):
    build_corpus(TEXTS, TOKENIZER, tmp_path, "key")
    assert contents(build_corpus(dying([], 0), TOKENIZER, tmp_path, "key")) == contents(Corpus(tmp_path))


def test_another_key_starts_afresh(tmp_path, whole):
    build_corpus(TEXTS * 2, TOKENIZER, tmp_path, "other")
    build_corpus(TEXTS, TOKENIZER, tmp_path, "key")
    assert files(tmp_path) == whole


def test_an_unfinished_corpus_is_not_opened(tmp_path):
    with pytest.raises(Killed):
        build_corpus(dying(TEXTS, 30), TOKENIZER, tmp_path, "key")
    with pytest.raises(DataError, match="no finished corpus"):
        Corpus(tmp_path)


@pytest.mark.parametrize("texts", [[], ["", "  "]])
def test_text_without_a_token_is_refused(tmp_path, texts):
    with pytest.raises(DataError, match="no token"):
        build_corpus(texts, TOKENIZER, tmp_path, "key")


def test_ids_beyond_two_bytes_are_kept(tmp_path):
    class Large:
        """A tokenizer whose ids need more than 16 bits."""

        sep_token_id = 70_001
        backend_tokenizer = property(lambda self: self)

        def __len__(self):
            return 70_002

        def no_truncation(self):
            """It never truncates."""

        no_padding = no_truncation

        def encode_batch_fast(self, batch, add_special_tokens):
            return [type("Encoding", (), {"ids": [70_000, 5]}) for _ in batch]

    corpus = build_corpus(["x"], Large(), tmp_path, "key")
    assert contents(corpus, 5) == [70_000, 5, 70_001]


def test_memory_does_not_grow_with_the_text(tmp_path):
    def texts(count):
        return (TEXTS[number % len(TEXTS)] for number in range(count))

    def peak(count):
        def build():
            shutil.rmtree(tmp_path / "corpus", ignore_errors=True)
            build_corpus(texts(count), TOKENIZER, tmp_path / "corpus", "key")

        return least_peak(build)

    peak(20)
    assert peak(2000) < 1.5 * peak(200) + 200_000


def test_the_index_is_replaced_never_edited(tmp_path):
    build_corpus(TEXTS, TOKENIZER, tmp_path, "key")
    assert json.loads((tmp_path / "index.json").read_text())["complete"] is True
    assert not list(tmp_path.glob(".*"))
