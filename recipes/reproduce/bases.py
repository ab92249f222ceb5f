"""The steps ``teacher`` and ``general``: models that no task was taught to, from text alone.

A teacher is grown as in ``recipes/teacher.yaml`` and taught on pairs as in ``recipes/pairs.yaml``; only size, text and
time are of this recipe.
"""

from pathlib import Path
from typing import Any

from common import ROOT, console
from plan import CONTROL, METHODS, TEACHER, Plan
from pocketbert import pipeline
from pocketbert.distill.stage import StageFolder
from pocketbert.files import hash_text
from pocketbert.manifest import Manifest, hash_weights
from pocketbert.models.loading import load_model
from pocketbert.models.students import build_student
from pocketbert.recipe import Data, DistillStage, Recipe, StageOptions, Student, load_recipe

TEACHER_SHARES = (0.5, 0.5)
"""Shares of the budget of the step ``teacher``: the few layers that learn first, and all of them."""
TEXT_SHARE = 0.3
"""Share of the budget of the step ``general`` that each method has for its student."""
PAIR_SHARES = (0.16, 0.08)
"""The same for the lesson on pairs: the teacher's, and that of each student."""
START = "start"


def make_teacher(plan: Plan) -> None:
    """Pretrain a few layers, and then as many copies of them as make the teacher."""
    size = plan.size
    few, whole = _stages("teacher")
    first, second = (
        {**_corpus(plan), "batch_size": batch, "learning_rate": rate, **plan.length(share)}
        for batch, rate, share in zip(size.batch_size, size.learning_rates, TEACHER_SHARES, strict=True)
    )
    shape = {"layers": size.start_layers, "hidden_size": size.hidden_size, "heads": size.heads}
    console.rule(f"{size.start_layers} layers", align="left")
    pipeline.pretrain(_changed(few, first | shape | _vocabulary(plan)), plan.model(START), console=console)
    copies = list(range(size.start_layers)) * (size.layers // size.start_layers)
    grown = Student(architecture="bert", layers=size.layers, init=copies)
    console.rule(f"{size.layers} layers", align="left")
    pipeline.distill(_changed(whole, second), str(plan.model(START)), grown, plan.model(TEACHER), console=console)


def make_students(plan: Plan) -> None:
    """Distil the general students, and teach them and the teacher to compare two texts."""
    teacher = plan.made(TEACHER, "teacher")
    for name in plan.students:
        console.rule(f"general student: {name}", align="left")
        if name == CONTROL:
            _take_layers(teacher, plan.model(name), plan.size.student_layers)
        else:
            _distil_text(plan, teacher, name)
    _teach_pairs(plan, teacher)


def _distil_text(plan: Plan, teacher: str, name: str) -> None:
    options = DistillStage(
        method=METHODS[name],
        batch_size=plan.size.batch_size[1],
        learning_rate=plan.size.learning_rates[1],
        dropout=0.0,
        **_corpus(plan),
        **plan.length(TEXT_SHARE),
    )
    student = Student(architecture="bert", layers=plan.size.student_layers)
    pipeline.distill(options, teacher, student, plan.model(name), console=console)


def _take_layers(teacher: str, output: Path, layers: int) -> None:
    """The control: a student that starts as the others do, and learns nothing from text."""
    stage = StageFolder(output, hash_text("layers", hash_weights(teacher), str(layers)))
    if stage.done:
        stage.skip(console)
        return
    stage.begin()
    loaded = load_model(teacher, "MaskedLM")
    built = build_student(loaded.model, teacher, Student(architecture="bert", layers=layers), pairs=True, seed=0)
    stage.finish(built.model, built.tokenizer, Manifest(stage="layers", key=stage.key))


def _teach_pairs(plan: Plan, teacher: str) -> None:
    """Text alone shows nobody two texts at once: the teacher learns to compare them, and teaches the students."""
    finetuning, distilling = _stages("pairs")
    data = _pairs(plan)
    rate = {"learning_rate": min(plan.size.most_rate, finetuning.learning_rate), "dropout": plan.size.dropout}
    ours, theirs = ({**rate, **plan.length(share)} for share in PAIR_SHARES)
    console.rule("pairs: teacher", align="left")
    compares = plan.model(TEACHER, pairs=True)
    pipeline.finetune(_changed(finetuning, ours), teacher, compares, data, console=console)
    for name in plan.students:
        console.rule(f"pairs: {name}", align="left")
        start = Student(start=str(plan.model(name)))
        output = plan.model(name, pairs=True)
        pipeline.distill(_changed(distilling, theirs), str(compares), start, output, data, console=console)


def _pairs(plan: Plan) -> Data:
    size = plan.size
    fields = _recipe("pairs").model_dump(include={"data"}, exclude_unset=True)["data"]
    fields["train"] = [f"altered:{plan.source(size.pairs)}"]
    return Data(**fields | ({"limit": size.limit} if size.limit else {}))


def _stages(name: str) -> tuple[Any, Any]:
    """The two stages of a recipe that comes with PocketBERT."""
    first, second = (stage.options for stage in _recipe(name).stages)
    return first, second


def _recipe(name: str) -> Recipe:
    return load_recipe(ROOT / "recipes" / f"{name}.yaml")


def _changed(options: StageOptions, fields: dict[str, Any]) -> Any:
    """The same options with other values in some fields, checked as those of a recipe are."""
    kind = type(options)
    return kind.model_validate(options.model_dump(exclude_unset=True) | fields)


def _corpus(plan: Plan) -> dict[str, Any]:
    return {"corpus": [plan.source(name) for name in plan.size.corpus], "block": plan.size.block}


def _vocabulary(plan: Plan) -> dict[str, Any]:
    own = dict(plan.size.vocabulary)
    if "tokenizer" in own:
        own["tokenizer"] = plan.source(own["tokenizer"])
    return own
