"""What of the teacher's word a run wants kept."""

from collections.abc import Sequence

from transformers import PreTrainedModel

from pocketbert.distill.cache.content import ALL, MASKED, Content
from pocketbert.distill.matching import Match
from pocketbert.distill.objective import Objective
from pocketbert.errors import PocketBertError
from pocketbert.models.inside import Inside

_OF_TOKENS = {"token_classification", "question_answering"}


def want_content(objectives: Sequence[Objective], teacher: PreTrainedModel, top_k: int | None) -> Content:
    """All that the phases of a run need.

    Args:
        objectives: one a phase.
        teacher: whose shape it has.
        top_k: pieces of a vocabulary; None for what the head makes all of them of.

    Raises:
        PocketBertError: a loss needs what is not kept; the message names it.
    """
    for objective in objectives:
        _check(objective, top_k)
    inside = Inside()
    for objective in objectives:
        inside |= objective.needs.inside
    states = tuple(sorted(inside.states))
    of_states = {"states": states, "width": teacher.config.hidden_size if states else 0}
    if not any(objective.needs.logits for objective in objectives):
        return Content(**of_states)
    if objectives[0].task != "masked_lm":
        classes = 2 if objectives[0].task == "question_answering" else teacher.config.num_labels
        return Content(classes=classes, positions="token" if objectives[0].task in _OF_TOKENS else "text", **of_states)
    classes = teacher.config.vocab_size
    positions = ALL if objectives[0].soft_everywhere else MASKED
    if top_k is None:
        # (vocabulary, width)
        features: int = teacher.get_output_embeddings().weight.shape[1]
        return Content(classes=classes, features=features, positions=positions, **of_states)
    some = {"top_k": min(top_k, classes), "temperature": _temperature(objectives)}
    return Content(classes=classes, **some, positions=positions, **of_states)


def _check(objective: Objective, top_k: int | None) -> None:
    for name, match in (objective.matching.matches if objective.matching else {}).items():
        if isinstance(match, Match) and match.teacher.attention:
            raise PocketBertError(
                f"distill: losses.{name} compares attention, which is not kept of a teacher; set signals: online, or "
                "give the loss weight 0"
            )
    if objective.task == "masked_lm" and objective.weights.logit_mse and top_k is not None:
        raise PocketBertError(
            "distill: losses.logit_mse compares the logits of the whole vocabulary, of which cache.top_k keeps some "
            "pieces alone; leave cache.top_k out, or take losses.soft_targets"
        )


def _temperature(objectives: Sequence[Objective]) -> float:
    found = {objective.temperature for objective in objectives if objective.needs.logits}
    if len(found) > 1:
        listed = ", ".join(f"{value:g}" for value in sorted(found))
        raise PocketBertError(
            f"distill: the phases soften by several temperatures ({listed}), "
            "but cache.top_k keeps pieces at one; leave cache.top_k out, or set temperature"
        )
    return found.pop()
