import pytest
from pydantic import ValidationError

from pocketbert.engines.description import PREFIX, Description
from pocketbert.errors import ModelError

WHOLE = Description(
    task="embedding", labels=["é", "b"], max_length=77, precision="int8", pooling="cls", weights="a1b2", pad_token_id=3
)


@pytest.mark.parametrize("description", [WHOLE, Description(task="regression", max_length=8)])
def test_what_is_written_is_read(description):
    assert Description.from_metadata(description.to_metadata(), "x.onnx") == description


def test_each_value_can_be_read_by_a_person():
    metadata = WHOLE.to_metadata()
    assert metadata[PREFIX + "task"] == "embedding"
    assert metadata[PREFIX + "labels"] == '["é", "b"]'
    assert metadata[PREFIX + "max_length"] == "77"


def test_metadata_of_others_is_left_out():
    assert Description.from_metadata({**WHOLE.to_metadata(), "author": "someone"}, "x.onnx") == WHOLE


@pytest.mark.parametrize(
    "metadata",
    [{}, {"author": "someone"}, {PREFIX + "task": "x"}, {PREFIX + "task": "x", PREFIX + "max_length": "long"}],
)
def test_a_file_that_does_not_say_what_it_is_is_refused(metadata):
    with pytest.raises(ModelError, match=r"x\.onnx: does not say what it is"):
        Description.from_metadata(metadata, "x.onnx")


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValidationError):
        Description(task="x", max_length=8, precision="int4")
