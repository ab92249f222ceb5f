"""Comparing hidden states: those of every token in some layers."""

from torch import Tensor, nn
from torch.nn import functional

from pocketbert.distill import losses
from pocketbert.distill.matching.base import Comparison, Match, Models, Step, mean_of
from pocketbert.distill.matching.layers import Pairs
from pocketbert.models.inside import EMBEDDINGS, Seen


class Cosine(Match):
    """The direction of the last hidden states."""

    name = "cosine"

    def __init__(self, models: Models, how: Comparison) -> None:
        super().__init__(models, how)
        self.need_same_width()
        self.look_at_states([self.last])

    def forward(self, student: Seen, teacher: Seen, step: Step) -> Tensor:
        """See :func:`~pocketbert.distill.losses.cosine_loss`."""
        own, theirs = student.states[self.last[0]], teacher.states[self.last[1]]
        return losses.cosine_loss(step.pick(own), step.pick(theirs), step.tokens)


class _Projected(Match):
    """Squared error of states, the student's brought to the teacher's width where it has another."""

    def __init__(self, models: Models, how: Comparison) -> None:
        super().__init__(models, how)
        own, theirs = models.student.width, models.teacher.width
        self.pairs = self.choose_pairs()
        self.projection: nn.Module = nn.Linear(own, theirs) if own != theirs else nn.Identity()
        self.look_at_states(self.pairs)

    def choose_pairs(self) -> Pairs:
        """Which states."""
        return self.pair_layers()

    def forward(self, student: Seen, teacher: Seen, step: Step) -> Tensor:
        """The mean over the pairs of layers."""

        def compare(own: int, theirs: int) -> Tensor:
            projected = self.projection(step.pick(student.states[own]).float())
            return losses.squared_error_loss(projected, step.pick(teacher.states[theirs]), step.tokens)

        return mean_of(self.pairs, compare)


class Hidden(_Projected):
    """The outputs of layers (Jiao et al. 2020, eq. 8), through one projection for all of them."""

    name = "hidden"


class Embeddings(_Projected):
    """What enters the first layer (Jiao et al. 2020, eq. 9)."""

    name = "embeddings"

    def choose_pairs(self) -> Pairs:
        """What enters the first layers."""
        return [(EMBEDDINGS, EMBEDDINGS)]


class FeatureMaps(Match):
    """The outputs of layers, without a projection (Sun et al. 2020, eq. 1)."""

    name = "feature_maps"

    def __init__(self, models: Models, how: Comparison) -> None:
        super().__init__(models, how)
        self.need_same_width(instead="hidden")
        self.pairs = self.pair_layers()
        self.look_at_states(self.pairs)

    def forward(self, student: Seen, teacher: Seen, step: Step) -> Tensor:
        """The mean over the pairs of layers."""
        return mean_of(
            self.pairs,
            lambda own, theirs: losses.squared_error_loss(
                step.pick(student.states[own]), step.pick(teacher.states[theirs]), step.tokens
            ),
        )


class Representations(Match):
    """The last hidden states, the student's through a layer with GELU (Mukherjee and Awadallah 2020, eq. 3)."""

    name = "representations"

    def __init__(self, models: Models, how: Comparison) -> None:
        super().__init__(models, how)
        self.projection = nn.Linear(models.student.width, models.teacher.width)
        self.look_at_states([self.last])

    def forward(self, student: Seen, teacher: Seen, step: Step) -> Tensor:
        """See :func:`~pocketbert.distill.losses.squared_error_loss`."""
        own, theirs = student.states[self.last[0]], teacher.states[self.last[1]]
        projected = functional.gelu(self.projection(step.pick(own).float()))
        return losses.squared_error_loss(projected, step.pick(theirs), step.tokens)
