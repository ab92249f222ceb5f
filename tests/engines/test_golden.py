import numpy as np
import pytest

from pocketbert.engines.golden import ANSWERS, TEXTS, Golden, GoldenText, condense
from pocketbert.errors import ModelError

TEXTS_OF = [GoldenText(text="ok", what="short"), GoldenText(text=["a", "b"], pair="𝄞", what="words")]
IDS = [np.array([[1, 2, 3], [0, 0, 1]]), np.array([[4], [0]])]
LOGITS = [np.array([0.5, -2], dtype=np.float32), np.array([[1, 2], [3, 4]], dtype=np.float32)]


@pytest.fixture
def folder(tmp_path):
    Golden(TEXTS_OF, IDS, LOGITS).write(tmp_path / "golden")
    return tmp_path / "golden"


def test_what_is_written_is_read(folder):
    found = Golden.read(folder)
    assert found.texts == TEXTS_OF
    for expected, values in ((IDS, found.ids), (LOGITS, found.logits)):
        for one, other in zip(expected, values, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", [TEXTS, ANSWERS])
@pytest.mark.parametrize("content", [None, b"{}", b""])
def test_a_damaged_file_is_refused(folder, name, content):
    (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match="golden answers cannot be read"):
        Golden.read(folder)


def test_answers_that_lack_a_text_are_refused(folder):
    Golden(TEXTS_OF[:1], IDS[:1], LOGITS[:1]).write(folder.with_name("less"))
    (folder.with_name("less") / ANSWERS).replace(folder / ANSWERS)
    with pytest.raises(ModelError):
        Golden.read(folder)


def test_only_the_masked_language_model_is_condensed():
    logits = np.arange(20 * 1030, dtype=np.float32).reshape(20, 1030)
    assert condense(logits, "token_classification") is logits
    kept = condense(logits, "masked_lm")
    np.testing.assert_array_equal(kept[1], logits[8, : 256 * 4 : 4])
    assert kept.shape == (3, 256)
