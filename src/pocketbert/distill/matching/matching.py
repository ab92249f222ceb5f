"""All comparisons of the insides that an objective is made of."""

from torch import Tensor, nn

from pocketbert.distill.matching.attention import AttentionMaps, AttentionScores, Relations, ValueRelations
from pocketbert.distill.matching.base import Comparison, Match, Models, Step
from pocketbert.distill.matching.sequences import Contrastive, Patience, Similarities
from pocketbert.distill.matching.states import Cosine, Embeddings, FeatureMaps, Hidden, Representations
from pocketbert.models.inside import Inside, Seen
from pocketbert.recipe import Losses

MATCHES: dict[str, type[Match]] = {
    match.name: match
    for match in (
        Cosine,
        Hidden,
        Embeddings,
        FeatureMaps,
        AttentionScores,
        AttentionMaps,
        Relations,
        ValueRelations,
        Patience,
        Representations,
        Contrastive,
        Similarities,
    )
}
"""Losses of the inside of two models, by their names in a recipe."""


class Matching(nn.Module):
    """The comparisons that have a weight.

    Args:
        weights: of all losses; zero leaves one out.
        models: shapes of student and teacher.
        how: which layers are compared, and how.

    Attributes:
        student: what of the student they look at.
        teacher: what of the teacher they look at.

    Raises:
        PocketBertError: the shapes of the models cannot be compared so.
    """

    def __init__(self, weights: Losses, models: Models, how: Comparison) -> None:
        super().__init__()
        matches = {name: match(models, how) for name, match in MATCHES.items() if getattr(weights, name)}
        self.student = Inside()
        self.teacher = Inside()
        for match in matches.values():
            self.student |= match.student
            self.teacher |= match.teacher
        self.matches = nn.ModuleDict(matches)

    @classmethod
    def of(cls, weights: Losses, models: Models, how: Comparison) -> "Matching | None":
        """The comparisons that have a weight; None where none has."""
        made = cls(weights, models, how)
        return made if made.matches else None

    def forward(self, student: Seen, teacher: Seen, step: Step) -> dict[str, Tensor]:
        """Each loss by name, unweighted."""
        return {name: match(student, teacher, step) for name, match in self.matches.items()}
