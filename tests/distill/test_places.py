"""Places of a mask, and what lies at them."""

import torch

from pocketbert.distill.places import find_places, pick, real_tokens


def test_places_are_counted_through_the_rows():
    mask = torch.tensor([[True, False, True], [False, False, True]])
    places = find_places(mask)
    assert places.tolist() == [0, 2, 5]
    values = torch.arange(12).reshape(2, 3, 2)
    assert torch.equal(pick(values, places), values[mask])
    assert pick(values, None).tolist() == values.reshape(6, 2).tolist()
    assert pick(values, find_places(torch.zeros(2, 3))).shape == (0, 2)


def test_full_blocks_are_all_real():
    ids = torch.zeros(2, 3, dtype=torch.long)
    assert real_tokens({"input_ids": ids}).all()
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    assert real_tokens({"input_ids": ids, "attention_mask": mask}).tolist() == mask.bool().tolist()
