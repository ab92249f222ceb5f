"""A synthetic report with every part filled, and a tiny model with its exported files."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import tiny
from pocketbert.engines.description import Description
from pocketbert.export.onnx import write_onnx
from pocketbert.export.openvino import write_openvino
from pocketbert.machine import Machine
from pocketbert.measure.comparison import DEMONSTRATION, Curve, CurvePoint, Provenance, Report, check_gates
from pocketbert.measure.results import Size, Speed, Spread, Timing
from pocketbert.measure.scores import compare_predictions
from pocketbert.models.answering import Answering
from pocketbert.models.loading import load_model
from pocketbert.recipe import Data, Gates
from pocketbert.tasks.classification import Classification


def make_task(labels: list[str]) -> Classification:
    return Classification(Data(task="classification", labels=labels))


def answer(targets: np.ndarray, right: float, classes: int, seed: int) -> np.ndarray:
    """Answers that are right with the given probability, and otherwise the next label."""
    wrong = np.random.default_rng(seed).random(len(targets)) >= right
    return np.where(wrong, (targets + 1) % classes, targets)


def make_comparison(labels: list[str], examples: int = 400, name: str = "News", resamples: int = 200):
    classes = len(labels)
    targets = np.random.default_rng(7).integers(0, classes, examples)
    return compare_predictions(
        make_task(labels),
        targets,
        answer(targets, 0.93, classes, 1),
        answer(targets, 0.91, classes, 2),
        answer(targets, 0.85, classes, 3),
        np.zeros(examples, dtype=int),
        resamples=resamples,
        name=name,
    )


def make_speed() -> Speed:
    def timing(scale: float) -> Timing:
        return Timing(
            latency_p50=31.2 / scale,
            latency_p95=48.0 / scale,
            tokens_per_second=5200.0 * scale,
            texts_per_second=120.0 * scale,
            precision="fp32",
            engine="torch",
        )

    return Speed(
        models={"teacher": timing(1.0), "student": timing(1.9)},
        latency_ratio={"student": Spread(median=1.85, low=1.6, high=2.1)},
        throughput_ratio={"student": Spread(median=1.93, low=1.88, high=1.99)},
        latency_rounds=120,
        throughput_rounds=9,
        batch_size=32,
        tokens_p50=24,
        tokens_p95=51,
        threads=2,
        device="cpu",
    )


def make_curve(stage: str, steps: int = 900) -> Curve:
    noise = np.random.default_rng(5).normal(0, 0.05, steps)
    points = [
        CurvePoint(step=10 * n, loss=0.4 + 2.0 / (1 + n / 40) + noise[n], learning_rate=5e-5) for n in range(1, steps)
    ]
    scores = [CurvePoint(step=step, eval_score=0.9 - 0.4 / (1 + step / 900)) for step in range(500, 9001, 500)]
    return Curve(stage=stage, points=sorted(points + scores, key=lambda point: point.step))


@pytest.fixture
def compare_labels():
    """Makes a comparison with synthetic answers, from label names."""
    return make_comparison


@pytest.fixture
def report() -> Report:
    report = Report(
        name="news-pocket",
        created=datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
        demonstration=DEMONSTRATION,
        tasks=[make_comparison(["world", "sports", "business", "science"])],
        sizes={
            "teacher": Size(parameters=109_486_085, bytes=437_960_000),
            "student": Size(parameters=66_957_317, bytes=267_844_000),
        },
        speed=make_speed(),
        curves=[make_curve("finetune teacher"), make_curve("distill")],
        provenance=Provenance(
            recipe={"name": "news-pocket", "stages": [{"distill": {"epochs": 3, "temperature": 2.0}}]},
            manifests={"student": {"parents": ["b1946ac92492d234"], "tokenizer": "c3fcd3d76192e400"}},
            data={"test": {"sha256": "591785b794601e21", "rows": 400}},
            machine=Machine(
                cpu="Example CPU 9000",
                cores=2,
                memory=25_276_502_016,
                system="Linux 6.1 x86_64",
                python="3.12.1",
                versions={"torch": "2.13.0", "transformers": "5.23.0"},
            ),
            seeds={"training": 0, "bootstrap": 0},
            seconds=372.0,
        ),
    )
    gates = check_gates(Gates(kept=0.97, smaller=0.6, faster=1.5), report)
    return report.model_copy(update={"gates": gates})


def export(folder: Path, **description) -> Path:
    """Write both files of a model directory for classification."""
    loaded = load_model(str(folder), "SequenceClassification")
    own = Description(**{"task": "classification", "labels": tiny.LABELS, "max_length": tiny.POSITIONS, **description})
    for engine in ("onnx", "openvino"):
        (folder / engine).mkdir()
    write_onnx(Answering(loaded.model, loaded.tokenizer.model_input_names), own, folder / "onnx" / "model.onnx")
    write_openvino(folder / "onnx" / "model.onnx", own, folder / "openvino" / "openvino_model.xml")
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Path:
    """A model directory with its files for both engines; read only."""
    folder = tmp_path_factory.mktemp("exported") / "student"
    return export(tiny.make_checkpoint(folder, "distilbert", "SequenceClassification"))
