"""Comparing one vector of each sequence."""

from torch import Tensor

from pocketbert.distill import losses
from pocketbert.distill.matching.base import Comparison, Match, Models, Step, mean_of
from pocketbert.models.inside import Seen


class Patience(Match):
    """The first token of the layers below the last one (Sun et al. 2019, eq. 7)."""

    name = "patience"

    def __init__(self, models: Models, how: Comparison) -> None:
        super().__init__(models, how)
        self.need_same_width()
        # The logits speak for the last layer, unless it is the only one that is mapped.
        pairs = self.pair_layers()
        self.pairs = [pair for pair in pairs if pair[0] != self.last[0]] or pairs
        self.look_at_states(self.pairs)

    def forward(self, student: Seen, teacher: Seen, step: Step) -> Tensor:
        """The mean over the pairs of layers."""
        return mean_of(
            self.pairs,
            lambda own, theirs: losses.patience_loss(
                student.states[own][:, 0], teacher.states[theirs][:, 0], step.sequences
            ),
        )


class _OfTexts(Match):
    """What compares one vector of each text, the mean of its last hidden states, among the texts of a micro-batch."""

    def __init__(self, models: Models, how: Comparison) -> None:
        super().__init__(models, how)
        self.look_at_states([self.last])

    def vectors(self, student: Seen, teacher: Seen, step: Step) -> tuple[Tensor, Tensor]:
        """The vectors of both models, (batch, width) each."""
        own, theirs = student.states[self.last[0]], teacher.states[self.last[1]]
        return _mean_of_tokens(own, step.real), _mean_of_tokens(theirs, step.real)


class Contrastive(_OfTexts):
    """A text's vector: nearest to the teacher's of the same text among those of a batch."""

    name = "contrastive"
    least_texts = 2

    def __init__(self, models: Models, how: Comparison) -> None:
        super().__init__(models, how)
        self.need_same_width(instead="similarities")

    def forward(self, student: Seen, teacher: Seen, step: Step) -> Tensor:
        """See :func:`~pocketbert.distill.losses.contrastive_loss`; the wrong answers are those of the micro-batch."""
        own, theirs = self.vectors(student, teacher, step)
        return losses.contrastive_loss(own, theirs, self.how.contrastive_temperature, step.sequences)


class Similarities(_OfTexts):
    """How near each text of a batch is to the others: the same in both models, whatever their widths."""

    name = "similarities"
    least_texts = 3

    def forward(self, student: Seen, teacher: Seen, step: Step) -> Tensor:
        """See :func:`~pocketbert.distill.losses.similarity_loss`; the other texts are those of the micro-batch."""
        own, theirs = self.vectors(student, teacher, step)
        return losses.similarity_loss(own, theirs, self.how.contrastive_temperature, step.sequences)


def _mean_of_tokens(states: Tensor, real: Tensor) -> Tensor:
    # (batch, tokens, width) → (batch, width)
    weights = real[..., None].float()
    return (states.float() * weights).sum(dim=1) / weights.sum(dim=1)
