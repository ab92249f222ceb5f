r"""The teacher beside the student against a teacher that spoke once: losses, time, bytes.

    python benchmarks/cached.py --teacher runs/teacher/02-distill --out runs/cached

One student is taught three times on the same text, from the same start, in the same order: with the teacher beside it;
from a cache that is filled first; and from the same cache again, as a second student would be. Then both students are
held against their teacher on text that none has seen, by its own soft targets and by each way of keeping them.
Without ``--teacher`` one is made from the text. It can be stopped and run again.

The headline is the time of the training with the teacher beside over that of the second one from the cache.
"""

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common import PUBLIC_DATA, call, console, make_parser, print_table, write_result
from pocketbert import pipeline
from pocketbert.data.order import Position
from pocketbert.distill import losses
from pocketbert.distill.cache.content import LOGITS, MASKED, Content
from pocketbert.distill.cache.packing import pack_features, unpack_features
from pocketbert.distill.places import find_places
from pocketbert.distill.texts import CORPORA, prepare_texts
from pocketbert.manifest import LOG, Manifest
from pocketbert.models.loading import load_model
from pocketbert.models.projection import Projection, accepted_inputs, model_inputs
from pocketbert.models.undecoded import Undecoded
from pocketbert.recipe import Cache, DistillStage, Losses, Masking, PretrainStage, Student

LAYERS = 12
GROWN_FROM = 3
"""Layers that learn first; a deep narrow BERT stands still for long (recipes/teacher.yaml)."""
TOPS = (8, 16, 32, 64, 128, 256)
SAID, KEPT = "as said", "all, in 8 bits"
BATCH, BLOCK = 16, 128
TEMPERATURE = 2.0
CHECKED_BLOCKS = 128
"""Of 128 tokens: about 2,400 hidden tokens."""
AT_ONCE = 16


def main() -> None:
    """Teach three times and print three tables."""
    flags = _flags()
    teacher = flags.teacher or str(_make_teacher(flags))
    made = {
        "online": _teach(teacher, flags, "online"),
        "first": _teach(teacher, flags, "first"),
        "second": _teach(teacher, flags, "second"),
    }
    tops = _compare_tops(teacher, flags)
    speedup = made["online"]["seconds"] / made["second"]["seconds"]
    print_table("one student, taught three times", *_times_table(made))
    print_table("soft targets on unseen text, T = 2", *_tops_table(tops))
    curves = _compare_curves(flags, made["first"]["deviation"])
    console.print(
        f"soft targets logged every {curves['steps']} steps, cached against online: {curves['mean']:+.4f} in the mean, "
        f"{curves['last']:+.4f} in the last tenth; they differ by {curves['rms']:.4f} (root mean square), where "
        f"the cache states {curves['stated']:.4f}, of {curves['online']:.4f}",
        highlight=False,
    )
    rows = [{"run": name, **values} for name, values in made.items()]
    unit = "training time with the teacher beside / training time of a second run from the cache"
    write_result(flags.json, "cached", speedup, unit, [*rows, {"curves": curves}, *tops])


def _flags() -> argparse.Namespace:
    parser = make_parser(__doc__ or "")
    parser.add_argument("--out", type=Path, default=Path("runs/cached"), help="folder of the runs")
    parser.add_argument("--teacher", help="a model directory with a masked-LM head; made from the text when absent")
    parser.add_argument("--text", nargs="+", default=[str(PUBLIC_DATA / "text" / "wikinews_en.00.txt.zst")])
    parser.add_argument("--layers", type=int, default=4, help="of the student")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--teacher-steps", type=int, default=3000, help="of a teacher that is made, and a quarter more")
    parser.add_argument("--vocabulary", type=int, default=12000, help="of a teacher that is made")
    parser.add_argument("--top-k", type=int, help="of the runs from the cache; all pieces when absent")
    parser.add_argument("--width", type=int, default=256, help="of a teacher that is made")
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    if flags.short:
        flags.out, flags.text, flags.teacher = flags.out / "short", ["embedded:text"], None
        flags.steps, flags.teacher_steps, flags.width, flags.vocabulary = 10, 20, 64, 1000
    return flags


def _make_teacher(flags: argparse.Namespace) -> Path:
    shallow, deep = flags.out / "teacher-shallow", flags.out / "teacher"
    shared: dict[str, Any] = {"corpus": flags.text, "batch_size": BATCH, "dropout": 0.0}
    pretrain = PretrainStage(
        **shared,
        steps=flags.teacher_steps,
        vocabulary=flags.vocabulary,
        layers=GROWN_FROM,
        hidden_size=flags.width,
        heads=4,
        positions=128,
        learning_rate=1e-3,
    )
    pipeline.pretrain(pretrain, shallow, console=console)
    order = [layer % GROWN_FROM for layer in range(LAYERS)]
    steps = flags.teacher_steps // 4
    grow = DistillStage(**shared, steps=steps, losses=Losses(masked_lm=1.0), learning_rate=5e-4, seed=1)
    pipeline.distill(grow, str(shallow), Student(architecture="bert", layers=LAYERS, init=order), deep, console=console)
    return deep


def _options(flags: argparse.Namespace, run: str) -> DistillStage:
    cached = {"signals": "cached", "cache": Cache(folder=str(flags.out / "said"), top_k=flags.top_k)}
    return DistillStage(
        corpus=flags.text,
        block=BLOCK,
        losses=Losses(soft_targets=5.0, masked_lm=2.0),
        steps=flags.steps,
        batch_size=BATCH,
        dropout=0.0,
        learning_rate=5e-4,
        evaluate_every=flags.steps,
        seed=flags.seed,
        **({} if run == "online" else cached),
    )


def _teach(teacher: str, flags: argparse.Namespace, run: str) -> dict[str, Any]:
    console.rule(run, align="left")
    student = Student(architecture="bert", layers=flags.layers)
    made = pipeline.distill(_options(flags, run), teacher, student, flags.out / run, console=console)
    return _describe(made)


def _describe(made: Manifest) -> dict[str, Any]:
    return {
        "seconds": made.metrics["seconds"],
        "precision": made.metrics["precision"],
        "filling_seconds": made.metrics.get("cache_seconds"),
        "validation_loss": made.metrics["validation_loss"],
        "teacher_validation_loss": made.metrics["teacher_validation_loss"],
        "bytes": made.metrics.get("cache_bytes"),
        "bytes_per_token": made.metrics.get("cache_bytes_per_token"),
        **{name: made.metrics.get(f"cache_{name}") for name in ("full", "kept", "deviation", "rest")},
    }


def _compare_curves(flags: argparse.Namespace, deviation: float) -> dict[str, float]:
    """How far the logged soft targets of the cached run are from those of the other, and what its cache states."""
    online, cached = (_curve(flags.out / run / LOG) for run in ("online", "first"))
    off = [own - other for own, other in zip(cached, online, strict=True)]
    steps = flags.steps / len(off)
    hidden = round(Masking().rate * (BLOCK - 2)) * BATCH
    return {
        "steps": steps,
        "online": sum(online) / len(online),
        "mean": sum(off) / len(off),
        "last": sum(off[-max(1, len(off) // 10) :]) / max(1, len(off) // 10),
        "rms": math.sqrt(sum(value**2 for value in off) / len(off)),
        "stated": deviation / math.sqrt(steps * hidden),
    }


def _curve(path: Path) -> list[float]:
    entries = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [entry["loss_soft_targets"] for entry in entries if "loss_soft_targets" in entry]


@torch.no_grad()
def _compare_tops(teacher: str, flags: argparse.Namespace) -> list[dict[str, Any]]:
    """The soft-target loss of both students on held-out text, as the teacher says it and as it is kept."""
    loaded = load_model(teacher, "MaskedLM")
    projection, accepted = Projection(loaded.model), accepted_inputs(loaded.model)
    blocks = prepare_texts(_options(flags, "online"), loaded.tokenizer, flags.out / CORPORA, console).validation
    students = {run: load_model(str(flags.out / run), "MaskedLM").model for run in ("online", "first")}
    generator = torch.Generator().manual_seed(flags.seed)
    found: dict[tuple[str, str | int], list[Tensor]] = defaultdict(list)
    for start in range(0, min(CHECKED_BLOCKS, len(blocks)), AT_ONCE):
        samples = range(start, min(start + AT_ONCE, len(blocks)))
        batch = blocks.collate([blocks[Position(0, sample)] for sample in samples])
        hidden = batch["labels"] >= 0
        said = projection.choose(model_inputs(batch, accepted), find_places(hidden)).logits
        kept = _keep(said, torch.rand(len(said), generator=generator))
        for run, student in students.items():
            own = student(batch["input_ids"]).logits[hidden]
            for k, top in kept.items():
                found[run, k].append(losses.top_k_divergences(own, top, TEMPERATURE) * TEMPERATURE**2)
        for k, top in kept.items():
            found["rest", k].append(top.rest.exp())
    whole = {name: torch.cat(parts) for name, parts in found.items()}
    return [{"top_k": k, "rest": whole["rest", k].mean().item(), **_errors(whole, students, k)} for k in (KEPT, *TOPS)]


def _keep(said: Undecoded, offsets: Tensor) -> dict[str | int, losses.TopK]:
    """What a teacher says, as it says it and by each way of keeping it."""
    logits, whole = said.decode(), Content(features=said.features.shape[1], classes=len(said.weight), positions=MASKED)
    features = unpack_features(pack_features(said.features, whole.kinds[LOGITS]))
    again = Undecoded(features, said.weight, said.bias).decode()
    everything = logits.shape[-1]
    return {
        SAID: losses.top_k_targets(logits, everything, TEMPERATURE, offsets),
        KEPT: losses.top_k_targets(again, everything, TEMPERATURE, offsets),
        **{k: losses.top_k_targets(logits, min(k, everything), TEMPERATURE, offsets) for k in TOPS},
    }


def _errors(found: dict[tuple[str, str | int], Tensor], runs: Iterable[str], k: str | int) -> dict[str, float]:
    """Means of a run's soft targets as they are said and as they are kept, and by how much a position is off."""
    return {
        name: value
        for run in runs
        for name, value in {
            f"{run}_full": found[run, SAID].mean().item(),
            f"{run}_kept": found[run, k].mean().item(),
            f"{run}_deviation": (found[run, k] - found[run, SAID]).square().mean().sqrt().item(),
        }.items()
    }


def _times_table(made: dict[str, dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    header = ["run", "training, s", "filling before, s", "bytes a token", "validation loss", "faster"]
    online = made["online"]["seconds"]
    return header, [
        [
            name,
            f"{row['seconds']:.0f}",
            f"{row['filling_seconds']:.0f}" if name == "first" else "–",
            f"{row['bytes_per_token']:.1f}" if row["bytes_per_token"] else "–",
            f"{row['validation_loss']:.4f}",
            f"{online / row['seconds']:.2f}",
        ]
        for name, row in made.items()
    ]


def _tops_table(tops: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    header = [
        "top k",
        "rest",
        *(f"{run}: {what}" for run in ("online", "cached") for what in ("said", "kept", "deviation")),
    ]
    names = [f"{run}_{what}" for run in ("online", "first") for what in ("full", "kept", "deviation")]
    return header, [[str(row["top_k"]), f"{row['rest']:.2%}", *(f"{row[name]:.5f}" for name in names)] for row in tops]


if __name__ == "__main__":
    call(main)
