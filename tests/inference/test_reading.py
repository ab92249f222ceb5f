"""Windows that want some of their tokens alone."""

import numpy as np

import pocketbert
from exported import exported
from pocketbert.inference.running import run_batch


def test_of_a_masked_language_model_only_the_gaps_are_kept():
    pipeline = pocketbert.load(exported("masked_lm"))
    (read,) = pipeline.read(["the [MASK] saw a [MASK]"], pipeline.options)
    (window,) = read.windows
    (kept,) = run_batch(pipeline.engine, [window])
    whole = pipeline.engine.run(
        {"input_ids": np.array([window.ids]), "attention_mask": np.ones((1, 7), dtype=np.int64)}
    )
    assert window.wanted == [2, 5] and np.array_equal(kept, whole[0, [2, 5]])
