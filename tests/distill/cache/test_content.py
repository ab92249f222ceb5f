"""What a cache keeps, and in how many bytes."""

from pocketbert.distill.cache.content import LOGITS, Content

TOP = Content(classes=300, top_k=16, temperature=2.0, positions="masked")


def test_a_record_takes_six_bytes_a_told_class_and_twenty():
    assert TOP.kinds[LOGITS].itemsize == 6 * 16 + 20


def test_all_of_a_vocabulary_take_a_byte_a_feature_and_twelve():
    assert Content(classes=300, features=24, positions="masked").kinds[LOGITS].itemsize == 24 + 12


def test_more_covers_less():
    both = Content(**{**TOP.model_dump(), "states": (1, 3), "width": 8})
    assert both.covers(TOP) and both.covers(Content(states=(3,), width=8)) and both.covers(both)
    assert not TOP.covers(both)
    assert not both.covers(TOP.model_copy(update={"temperature": 1.0}))
    assert not Content(states=(1,), width=8).covers(TOP)
