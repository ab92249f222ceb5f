"""Comparing what attention compares: scores, maps, and relations of queries, keys and values."""

from torch import Tensor

from pocketbert.distill import losses
from pocketbert.distill.matching.base import Comparison, Match, Models, Step, mean_of
from pocketbert.errors import PocketBertError
from pocketbert.models.inside import Seen

MOST_RELATION_HEADS = 48
"""The number that was best for a student of base size (Wang et al. 2021)."""


class _HeadByHead(Match):
    """A comparison of each head of a layer with the same one of the teacher's."""

    def __init__(self, models: Models, how: Comparison) -> None:
        super().__init__(models, how)
        self.need_same_heads()
        self.pairs = self.pair_layers()
        self.look_at_attention(self.pairs)

    def scores(self, seen: Seen, layer: int) -> Tensor:
        """(batch, heads, tokens, tokens) before the softmax."""
        attention = seen.attention[layer]
        return losses.attention_scores(attention.queries, attention.keys, self.models.student.heads)


class AttentionScores(_HeadByHead):
    """Scores before the softmax (Jiao et al. 2020, eq. 7)."""

    name = "attention_scores"

    def forward(self, student: Seen, teacher: Seen, step: Step) -> Tensor:
        """The mean over the pairs of layers."""
        return mean_of(
            self.pairs,
            lambda own, theirs: losses.attention_score_loss(
                self.scores(student, own), self.scores(teacher, theirs), step.real, step.tokens
            ),
        )


class AttentionMaps(_HeadByHead):
    """Where each token looks (Wang et al. 2020, eq. 6; Sun et al. 2020, eq. 2)."""

    name = "attention_maps"

    def forward(self, student: Seen, teacher: Seen, step: Step) -> Tensor:
        """The mean over the pairs of layers."""
        return mean_of(
            self.pairs,
            lambda own, theirs: losses.attention_map_loss(
                self.scores(student, own), self.scores(teacher, theirs), step.real, step.tokens
            ),
        )


class _Relations(Match):
    """Relations of some of queries, keys and values, in heads that both widths can be cut into."""

    parts: tuple[str, ...]

    def __init__(self, models: Models, how: Comparison) -> None:
        super().__init__(models, how)
        self.heads = self.choose_heads()
        self.pairs = self.pair_layers()
        self.look_at_attention(self.pairs)

    def choose_heads(self) -> int:
        """How many relation heads."""
        return choose_relation_heads(self.how.relation_heads, self.models.student.width, self.models.teacher.width)

    def forward(self, student: Seen, teacher: Seen, step: Step) -> Tensor:
        """The mean over the pairs of layers, of the sum over the parts."""
        return mean_of(self.pairs, lambda own, theirs: self._compare(student, teacher, own, theirs, step))

    def _compare(self, student: Seen, teacher: Seen, own: int, theirs: int, step: Step) -> Tensor:
        terms = [
            losses.relation_loss(
                getattr(student.attention[own], part),
                getattr(teacher.attention[theirs], part),
                self.heads,
                step.real,
                step.tokens,
            )
            for part in self.parts
        ]
        return sum(terms[1:], terms[0])


class Relations(_Relations):
    """Queries with queries, keys with keys, values with values (Wang et al. 2021, eq. 5)."""

    name = "relations"
    parts = ("queries", "keys", "values")


class ValueRelations(_Relations):
    """Values with values, in the heads of the models (Wang et al. 2020, eq. 7 to 9)."""

    name = "value_relations"
    parts = ("values",)

    def choose_heads(self) -> int:
        """The attention heads, where both models have as many; else relation heads."""
        own, theirs = self.models.student.heads, self.models.teacher.heads
        return own if own == theirs and self.how.relation_heads is None else super().choose_heads()


def choose_relation_heads(wanted: int | None, student_width: int, teacher_width: int) -> int:
    """How many relation heads the widths of two models are cut into.

    Args:
        wanted: so many; None for the most, up to 48, that divide both.
        student_width: of the student's hidden states.
        teacher_width: of the teacher's hidden states.

    Raises:
        PocketBertError: the widths are no multiples of what was wanted.
    """
    possible = [
        heads
        for heads in range(1, MOST_RELATION_HEADS + 1 if wanted is None else wanted + 1)
        if student_width % heads == 0 and teacher_width % heads == 0
    ]
    if wanted is not None and possible[-1] != wanted:
        raise PocketBertError(
            f"relation_heads: {wanted} does not divide the widths of student and teacher, {student_width} and "
            f"{teacher_width}; {possible[-1]} does, or leave it out"
        )
    return possible[-1]
