"""The number type of a run."""

import jobs
import pytest
import torch

import tiny
from pocketbert.distill import precision
from pocketbert.distill.distillation import distill
from pocketbert.distill.precision import fastest_precision, settle_precision, torch_dtype
from pocketbert.distill.prediction import masked_lm_loss
from pocketbert.distill.texts import CORPORA, prepare_texts
from pocketbert.distill.trainer import PocketTrainer
from pocketbert.errors import PocketBertError
from pocketbert.models.loading import load_model
from pocketbert.recipe import DistillStage, Losses, Student


def test_the_fastest_is_decided_once_a_run(tmp_path, monkeypatch):
    for measured in ("bf16", "fp32"):
        monkeypatch.setattr(precision, "fastest_precision", lambda measured=measured: measured)
        assert settle_precision("auto", tmp_path) == "bf16"
    assert settle_precision("auto", tmp_path / "another run") == "fp32"


def on_a_gpu(monkeypatch, bf16):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)


@pytest.mark.parametrize("wanted", ["fp32", "bf16"])
def test_what_is_asked_for_is_taken(tmp_path, monkeypatch, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert settle_precision(wanted, tmp_path) == wanted
    assert not list(tmp_path.iterdir())


def test_a_type_that_the_device_does_not_train_in_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PocketBertError, match="fp16 needs a GPU; set precision: bf16, fp32 or auto"):
        settle_precision("fp16", tmp_path)
    on_a_gpu(monkeypatch, bf16=False)
    assert settle_precision("fp16", tmp_path) == "fp16"
    with pytest.raises(PocketBertError, match="this GPU has no bf16; set precision: fp16, fp32 or auto"):
        settle_precision("bf16", tmp_path)
    on_a_gpu(monkeypatch, bf16=True)
    assert settle_precision("bf16", tmp_path) == "bf16"


@pytest.mark.parametrize(("ratio", "chosen"), [(0.5, "fp32"), (1.0, "fp32"), (1.2, "fp32"), (2.0, "bf16")])
def test_a_shorter_type_has_to_be_clearly_faster(monkeypatch, ratio, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(precision, "_seconds", lambda _plain, _short: [ratio, 1.0])
    fastest_precision.cache_clear()
    assert fastest_precision() == chosen
    fastest_precision.cache_clear()


@pytest.mark.parametrize(("precision", "trained_in"), [("fp32", "no"), ("bf16", "bf16")])
def test_a_launcher_that_was_told_another_precision_does_not_decide(tmp_path, monkeypatch, precision, trained_in):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    trainer = PocketTrainer(jobs.masked_lm_job(tmp_path, Losses(masked_lm=1.0), precision=precision))
    assert trainer.accelerator.mixed_precision == trained_in


def test_names_stand_for_types():
    assert [torch_dtype(name) for name in ("fp32", "bf16", "fp16")] == [torch.float32, torch.bfloat16, torch.float16]


def test_the_teacher_is_measured_as_it_was_read(tmp_path):
    """Though it teaches in bf16, which rounds its weights."""
    source = str(tiny.make_checkpoint(tmp_path / "teacher"))
    text = str(tiny.write_text(tmp_path / "text.txt", 40))
    options = DistillStage(corpus=[text], block=16, steps=2, batch_size=4, precision="bf16")
    manifest = distill(options, source, Student(), tmp_path / "student", console=jobs.QUIET)
    teacher = load_model(source, "MaskedLM")
    blocks = prepare_texts(options, teacher.tokenizer, tmp_path / CORPORA, jobs.QUIET)
    expected = masked_lm_loss(teacher.model, blocks.validation, options.batch_size)
    assert manifest.metrics["teacher_validation_loss"] == pytest.approx(expected, rel=1e-6)
