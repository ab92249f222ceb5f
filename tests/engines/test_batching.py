import itertools

import numpy as np
import pytest

from pocketbert.engines.batching import batches_by_length, bucket


def test_batches_hold_like_lengths_and_few_tokens():
    lengths = np.random.default_rng(0).integers(1, 120, 200).tolist()
    batches = batches_by_length(lengths, 100)
    assert sorted(itertools.chain.from_iterable(batches)) == list(range(200))
    assert all(len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= 100 for rows in batches)
    ordered = [lengths[row] for row in itertools.chain.from_iterable(batches)]
    assert ordered == sorted(lengths, reverse=True)


def test_batches_are_filled_from_the_longest_on():
    assert batches_by_length([3, 9, 4, 3], 9) == [[1], [2, 0], [3]]


@pytest.mark.parametrize("max_length", [40, 48, 128, 500, 512])
def test_a_bucket_holds_its_tokens_and_adds_little(max_length):
    lengths = range(1, max_length + 1)
    buckets = [bucket(tokens, max_length) for tokens in lengths]
    assert all(tokens <= found <= max_length for tokens, found in zip(lengths, buckets, strict=True))
    assert all(
        found - tokens < max(4, tokens / 8) or found == 8 for tokens, found in zip(lengths, buckets, strict=True)
    )
    assert min(buckets) == 8
    assert sorted(buckets) == buckets
    assert len(set(buckets)) <= 40


def test_a_text_that_is_longer_than_all_is_a_bucket_of_its_own():
    assert bucket(70, 64) == 70
