import pytest
import torch
from transformers import AutoTokenizer

from exported import exported
from pocketbert.errors import DataError

TEXT = "the [MASK] saw a [MASK] near"


def test_guesses_are_torchs(pipeline, torch_logits):
    answer, inputs = torch_logits("masked_lm", TEXT)
    tokenizer = AutoTokenizer.from_pretrained(exported("masked_lm"))
    gaps = torch.nonzero(inputs["input_ids"][0] == tokenizer.mask_token_id)[:, 0]
    found = pipeline("masked_lm")(TEXT, top_k=3)
    assert len(found.gaps) == len(gaps) == 2
    for guesses, gap in zip(found.gaps, gaps, strict=True):
        best = answer.logits[0, gap].softmax(dim=-1).topk(3)
        assert [each.id for each in guesses] == best.indices.tolist()
        assert [each.score for each in guesses] == pytest.approx(best.values.tolist(), abs=1e-5)
        assert [each.token for each in guesses] == [tokenizer.decode([number]) for number in best.indices.tolist()]


def test_a_guess_stands_in_its_own_gap(pipeline):
    first, second = pipeline("masked_lm")(TEXT, top_k=300).gaps
    whole = {each.token: each.text for each in first}
    assert whole["cat"] == "the cat saw a [MASK] near"
    assert {each.token: each.text for each in second}["cat"] == "the [MASK] saw a cat near"
    assert whole["##e"] == "thee saw a [MASK] near"  # a piece that goes on a word does so


def test_a_gap_far_into_a_long_text_is_filled(pipeline):
    text = "the cat saw a house " * 20 + "[MASK] near"
    assert len(pipeline("masked_lm")(text).gaps) == 1
    cut = pipeline("masked_lm")(text, too_long="truncate")
    assert cut.truncated and cut.gaps == []


def test_a_text_without_a_gap_is_told(pipeline):
    with pytest.raises(DataError, match=r"has no gap: write \[MASK\]"):
        pipeline("masked_lm")("the cat")


def test_a_roberta_has_a_mask_of_its_own(pipeline):
    opened = pipeline("masked_lm", "roberta")
    assert opened.mask_token == "<mask>"
    (guesses,) = opened("the <mask> saw", top_k=2).gaps
    assert all(each.text.startswith("the ") and each.text.endswith(" saw") for each in guesses)
