"""Published methods, as courses over the same losses: which, at what weights, and in which order.

``text`` is what a method does with plain text, ``rows`` with the rows of a task. Where a paper fine-tunes its general
student on the labels alone, its way of transfer is offered on rows all the same, before the logits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pocketbert.distill.learning import EMBEDDING_LOSSES, MASKED_LM_LOSSES
from pocketbert.distill.phases import Course, Phase
from pocketbert.errors import PocketBertError
from pocketbert.recipe import DistillStage, LayerMap, Losses, MethodName

ANSWERS = Losses(soft_targets=1.0, labels=0.5)
"""What follows a transfer of the inside that says nothing on the head."""
OF_COURSE = (
    "method", "losses", "temperature", "layer_map", "relation_heads", "contrastive_temperature", "soft_targets"
)  # fmt: skip
"""Fields of a stage that its course is made of."""


@dataclass(frozen=True)
class Method:
    """A published method.

    Attributes:
        source: the paper.
        text: phases on plain text; none where it has nothing for it.
        rows: phases on the rows of a task.
        layer_map: which layers it compares.
    """

    source: str
    text: Sequence[Phase]
    rows: Sequence[Phase]
    layer_map: LayerMap = "uniform"


def _before_answers(losses: Losses, share: float = 0.5) -> tuple[Phase, Phase]:
    """A transfer of the inside, then of the answers."""
    return Phase(losses, share=share, name="inside"), Phase(ANSWERS, share=1 - share, name="answers")


_TINYBERT = Losses(hidden=1.0, embeddings=1.0, attention_scores=1.0)
_MINILM = Losses(attention_maps=1.0, value_relations=1.0)
_MINILMV2 = Losses(relations=1.0)
_MOBILEBERT = Losses(feature_maps=1.0, attention_maps=1.0)

METHODS: dict[MethodName, Method] = {
    "distilbert": Method(
        source="Sanh et al. 2019",
        text=(Phase(MASKED_LM_LOSSES),),
        # As in its distillation on SQuAD.
        rows=(Phase(Losses(soft_targets=0.5, labels=0.5)),),
    ),
    "tinybert": Method(
        source="Jiao et al. 2020",
        text=(Phase(_TINYBERT),),
        rows=(
            Phase(_TINYBERT, share=0.7, name="inside"),
            Phase(Losses(soft_targets=1.0), temperature=1.0, share=0.3, name="answers"),
        ),
    ),
    "minilm": Method(
        source="Wang et al. 2020",
        text=(Phase(_MINILM),),
        rows=_before_answers(_MINILM),
        layer_map="top",
    ),
    "minilmv2": Method(
        source="Wang et al. 2021",
        text=(Phase(_MINILMV2),),
        rows=_before_answers(_MINILMV2),
        layer_map="top",
    ),
    "pkd": Method(
        source="Sun et al. 2019",
        text=(),
        rows=(Phase(Losses(soft_targets=0.5, labels=0.5, patience=0.5), temperature=5.0),),
    ),
    "xtremedistil": Method(
        source="Mukherjee and Awadallah 2020",
        text=(Phase(Losses(representations=1.0)),),
        rows=(
            Phase(Losses(representations=1.0), share=0.4, name="representations"),
            Phase(Losses(logit_mse=1.0), share=0.4, name="logits"),
            Phase(Losses(labels=1.0), share=0.2, name="labels"),
        ),
    ),
    "mobilebert": Method(
        source="Sun et al. 2020",
        text=(
            Phase(_MOBILEBERT, share=0.5, name="inside"),
            Phase(Losses(soft_targets=0.5, masked_lm=0.5), temperature=1.0, share=0.5, name="answers"),
        ),
        rows=_before_answers(_MOBILEBERT),
    ),
    "contrastive": Method(
        source="van den Oord et al. 2018",
        text=(Phase(EMBEDDING_LOSSES),),
        rows=_before_answers(EMBEDDING_LOSSES),
        layer_map="top",
    ),
}


def choose_course(options: DistillStage, kind: Literal["text", "rows", "embedding"], default: Losses) -> Course:
    """What a stage teaches by.

    Args:
        options: of the stage: a method, or losses, or neither.
        kind: of what is learnt from.
        default: losses where neither is named.

    Raises:
        PocketBertError: the method has nothing for this kind.
    """
    phases: Sequence[Phase] = (Phase(options.losses or default),)
    layer_map: LayerMap = "uniform"
    if options.method:
        method = METHODS[options.method]
        # Embeddings have no answers either: what a method does with text is all that it has for them.
        phases, layer_map = (method.rows if kind == "rows" else method.text), method.layer_map
        if not phases:
            raise PocketBertError(
                f"distill: the method {options.method} ({method.source}) learns from the rows of a task, not from "
                + ("text; name data, or another method" if kind == "text" else "texts to embed; name another")
            )
    if options.temperature:
        phases = [replace(phase, temperature=options.temperature) for phase in phases]
    return Course(
        phases=phases,
        layer_map=options.layer_map or layer_map,
        relation_heads=options.relation_heads,
        contrastive_temperature=options.contrastive_temperature,
        soft_positions=options.soft_targets,
    )
