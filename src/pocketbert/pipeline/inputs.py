"""What the trials of a search read: all of a recipe but the rows that a run reports."""

import json

from pocketbert.data.sources import fingerprint
from pocketbert.distill.rows import fingerprints, without_reported
from pocketbert.files import hash_text
from pocketbert.manifest import hash_weights
from pocketbert.pipeline.space import PARTS, plain_values
from pocketbert.recipe import Recipe, Stage


def without_reported_rows(recipe: Recipe) -> Recipe:
    """The recipe without the rows that a run reports, in its own data and in that of its stages."""
    stages = []
    for stage in recipe.stages:
        options, data = stage.options, getattr(stage.options, "data", None)
        if data is not None:
            options = options.model_copy(update={"data": without_reported(data)})
        stages.append(Stage(**{stage.kind: options}))
    return recipe.model_copy(update={"data": recipe.data and without_reported(recipe.data), "stages": stages})


def search_key(recipe: Recipe, learnt: Recipe) -> str:
    """Hash of all that the scores of trials, and their order, depend on."""
    tree = {name: value for name, value in plain_values(recipe).items() if name in PARTS}
    space = recipe.tune.model_dump_json(include={"space", "seed"}) if recipe.tune else ""
    prints: list[str] = []
    for stage in learnt.stages:
        data = getattr(stage.options, "data", None) or learnt.data
        prints += fingerprints(data, unlabelled=True).values() if data else []
        prints += [fingerprint(getattr(stage.options, name, None) or []) for name in ("corpus", "held_out")]
    models = [recipe.teacher and recipe.teacher.model, recipe.student.start]
    weights = [hash_weights(model) if model else "" for model in models]
    return hash_text(json.dumps(tree, sort_keys=True), space, *weights, *prints)
