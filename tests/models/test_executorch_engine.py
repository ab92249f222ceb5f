"""The engine of ExecuTorch programs: which method runs a text, in which company, and what is refused."""

import numpy as np
import pytest

from pocketbert.engines.exported import open_file
from pocketbert.errors import DataError, ModelError
from pocketbert.models.torch_engine import TorchEngine
from pocketbert.tasks.base import Feature, collate
from programs import program, subject

MODEL = ("token_classification", "roberta")
PADDING = 1
"""Its padding, by which it tells the positions of the others."""


def feature(tokens: int) -> Feature:
    """Arbitrary pieces; the same for the same number of them."""
    ids = np.random.Generator(np.random.Philox(tokens)).integers(5, 60, tokens).tolist()
    return {"input_ids": ids, "attention_mask": [1] * tokens, "token_type_ids": [0] * tokens}


@pytest.fixture
def engine():
    return open_file(program(*MODEL))


@pytest.mark.parametrize("tokens", [1, 15, 16, 17, 47, 48])
def test_a_text_of_any_length_is_answered_as_by_torch(engine, tokens):
    batch = collate([feature(tokens)], PADDING)
    true = TorchEngine(subject(*MODEL).module, subject(*MODEL).description).run(batch)
    np.testing.assert_allclose(engine.run(batch), true, atol=1e-5)


def test_only_the_methods_that_texts_need_are_loaded(engine, monkeypatch):
    load, loaded = engine._program.load_method, []
    monkeypatch.setattr(engine._program, "load_method", lambda name: loaded.append(name) or load(name))
    engine.run(collate([feature(16)], PADDING))
    assert loaded == ["tokens_16"]
    engine.run(collate([feature(3), feature(17)], PADDING))
    assert loaded == ["tokens_16", "tokens_16", "tokens_48"]


def test_batchmates_change_nothing(engine):
    features = [feature(tokens) for tokens in (3, 40, 16, 1)]
    together = engine.run(collate(features, PADDING))
    assert together.shape == (4, 40, 3)
    for row, each in enumerate(features):
        tokens = len(each["input_ids"])
        assert np.array_equal(together[row, :tokens], engine.run(collate([each], PADDING))[0])
        assert not together[row, tokens:].any()


def test_a_text_that_is_too_long_is_refused(engine):
    with pytest.raises(DataError, match=r"model\.pte: takes at most 48 tokens, a text has 49; cut it"):
        engine.run(collate([feature(49)], PADDING))


def test_threads_are_those_asked_for():
    path = program(*MODEL)
    from executorch.extension.pybindings import portable_lib

    for threads in (2, 1):
        open_file(path, threads)
        assert portable_lib._threadpool_get_thread_count() == threads


@pytest.mark.parametrize("kept", [0, 10, 0.5])
def test_a_damaged_program_is_refused_in_one_line(tmp_path, capfd, kept):
    whole = program(*MODEL).read_bytes()
    (tmp_path / "model.pte").write_bytes(whole[: int(kept * len(whole)) if kept < 1 else kept])
    with pytest.raises(ModelError, match=r"model\.pte: ExecuTorch cannot run it: .*; export it again"):
        open_file(tmp_path / "model.pte")
    assert capfd.readouterr().err == ""  # the library itself complains on standard error


def test_a_program_of_someone_else_is_refused(tmp_path):
    pytest.importorskip("executorch", reason="the extra `mobile` is not installed")
    import torch
    from executorch.exir import to_edge_transform_and_lower

    traced = torch.export.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),))
    made = to_edge_transform_and_lower(traced).to_executorch()
    (tmp_path / "model.pte").write_bytes(made.buffer)
    with pytest.raises(ModelError, match=r"model\.pte: does not say what it is"):
        open_file(tmp_path / "model.pte")
