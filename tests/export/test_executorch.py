"""ExecuTorch programs answer as torch does: every head, every family, in fp32 and in int8."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pocketbert.engines.encoding import TextEncoder
from pocketbert.engines.exported import open_file
from pocketbert.errors import ModelError
from pocketbert.export.mobile import write_mobile_program
from pocketbert.export.texts import gate_texts
from pocketbert.models.answering import Answering
from pocketbert.models.torch_engine import TorchEngine
from pocketbert.tasks.base import Feature, collate
from programs import program, subject

KINDS = {"token_classification": "words", "question_answering": "spans"}
PAIRS = [
    ("embedding", "bert"),
    ("token_classification", "roberta"),
    ("classification", "albert"),
    ("question_answering", "electra"),
    ("multi_label", "distilbert"),
    ("regression", "squeezebert"),
]
"""Each head once and each family once: a program takes seconds to make."""


def features(task: str, family: str = "bert") -> list[Feature]:
    """Short, long, empty, in many scripts."""
    made, kind = subject(task, family), KINDS.get(task, "single")
    encode = TextEncoder(Path(made.loaded.source), made.description.max_length, spans=kind == "spans")
    return [encode(text.text, text.pair) for text in gate_texts(kind, [], 0)]


def differences(task: str, family: str, precision: str) -> tuple[float, float]:
    """Largest difference of a logit from torch's, each text alone, and the largest logit."""
    made = subject(task, family)
    engine = open_file(program(task, family, precision))
    reference = TorchEngine(made.module, made.description)
    moved, scale = [], []
    for feature in features(task, family):
        batch = collate([feature], made.description.pad_token_id)
        true, found = reference.run(batch), engine.run(batch)
        assert found.shape == true.shape
        moved.append(float(np.abs(found - true).max()))
        scale.append(float(np.abs(true).max()))
    return max(moved), max(scale)


@pytest.mark.parametrize(("task", "family"), PAIRS)
def test_parity_of_a_program_with_torch(task, family):
    moved, scale = differences(task, family, "fp32")
    assert moved < 1e-5 * max(scale, 1)


def test_parity_of_an_int8_program_with_torch():
    moved, scale = differences("token_classification", "bert", "int8")
    assert 1e-5 < moved / scale < 0.05  # not at all would mean that nothing was rounded


def test_int8_answers_do_not_depend_on_the_padding():
    engine = open_file(program("token_classification", "bert", "int8"))
    fitting = [each for each in features("token_classification") if len(each["input_ids"]) <= 16]
    assert len(fitting) > 5
    batches = [collate([each], engine.description.pad_token_id) for each in fitting]
    short = [engine.run(batch) for batch in batches]
    engine.lengths = [48]
    for logits, batch in zip(short, batches, strict=True):
        # Sums over other numbers of tokens differ in their last bit, which can tip the rounding of an activation.
        assert np.abs(engine.run(batch) - logits).max() < 2e-3 * np.abs(logits).max()


def test_weights_lie_in_the_file_once_for_all_lengths():
    data = program("token_classification", "roberta").read_bytes()
    state = subject("token_classification", "roberta").module.state_dict()
    for name in ("embeddings.word_embeddings.weight", "encoder.layer.0.intermediate.dense.weight"):
        assert data.count(state[f"model.roberta.{name}"].numpy().tobytes()) == 1, name


def test_int8_weights_are_rounded_by_output_channel():
    data = program("token_classification", "bert", "int8").read_bytes()
    state = subject("token_classification").module.state_dict()
    for name in ("embeddings.word_embeddings.weight", "encoder.layer.0.intermediate.dense.weight"):
        weights = state[f"model.bert.{name}"]  # (out, in)
        scale = weights.abs().amax(dim=1, keepdim=True) / 127.5
        by_hand = torch.clamp(torch.round(weights / scale), -128, 127).to(torch.int8).numpy()
        found = sum(row.tobytes() in data for row in by_hand)
        assert found > 0.8 * len(by_hand), name  # in the others a value lies on the edge
        assert weights.numpy().tobytes() not in data, name


def test_a_program_says_what_it_is():
    path = program("token_classification", "bert", "int8")
    engine = open_file(path)
    assert engine.description == subject("token_classification").description.model_copy(update={"precision": "int8"})
    assert engine.description.labels == ["B-animal", "B-place", "O"]
    assert engine.lengths == [16, 48]
    assert engine.inputs == {"input_ids", "attention_mask", "token_type_ids"}


def test_the_model_is_left_as_it_was():
    made = subject("token_classification")
    program("token_classification", "bert", "int8")
    assert made.loaded.model.config._attn_implementation == "sdpa"
    assert all(type(each) is torch.nn.Parameter for each in made.module.parameters())
    assert made.loaded.model.get_input_embeddings().padding_idx == made.loaded.model.config.pad_token_id


def test_convolutions_are_refused_in_int8(tmp_path):
    pytest.importorskip("executorch", reason="the extra `mobile` is not installed")
    made = subject("regression", "squeezebert")
    description = made.description.model_copy(update={"precision": "int8"})
    with pytest.raises(ModelError, match=r"SqueezeBertForSequenceClassification: its convolutions cannot be int8"):
        write_mobile_program(made.module, description, [], tmp_path / "model.pte")
    assert not list(tmp_path.iterdir())


class Wayward(Answering):
    """Goes one way or another, depending on the text."""

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        answer = super().forward(input_ids, attention_mask, token_type_ids)
        return answer if input_ids.sum() > 1000 else (answer[0] + 1,)


def test_an_architecture_that_cannot_be_exported_is_named(tmp_path):
    pytest.importorskip("executorch", reason="the extra `mobile` is not installed")
    made = subject("token_classification")
    module = Wayward(made.loaded.model, made.module.inputs)
    with pytest.raises(ModelError, match=r"BertForTokenClassification: cannot be exported to ExecuTorch: .+"):
        write_mobile_program(module, made.description, [], tmp_path / "model.pte")
    assert not list(tmp_path.iterdir())
