"""Zero-shot: labels of one's own choice, by a model that tells whether one text follows from another."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pocketbert.engines.base import Engine, Logits
from pocketbert.errors import ModelError, PocketBertError
from pocketbert.inference.pipeline import Options, Pipeline
from pocketbert.inference.reading import Read
from pocketbert.inference.results import Classified
from pocketbert.inference.texts import check_text, rank, sigmoid, softmax

_ENTAILMENT, _CONTRADICTION = "entail", "contra"
"""How the labels begin that say that a text follows, and that its opposite does."""


@dataclass(frozen=True, slots=True)
class ZeroShotOptions(Options):
    """Of zero-shot classification.

    Attributes:
        labels: to choose among.
        hypothesis: the sentence that a label makes true; ``{}`` stands for it.
        multi_label: whether any number of labels may fit, each scored by itself; else they share the probability.
    """

    labels: Sequence[str] = field(default_factory=tuple)
    hypothesis: str = "This text is about {}."
    multi_label: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no option; see :class:`~pocketbert.inference.pipeline.Options`."""
        Options.__post_init__(self)
        if isinstance(self.labels, str) or not all(isinstance(each, str) and each.strip() for each in self.labels):
            raise PocketBertError("labels: a list of names is expected, none of them empty")
        if len(set(self.labels)) < len(self.labels):
            raise PocketBertError("labels: one is there twice")
        if "{}" not in self.hypothesis:
            raise PocketBertError(f"hypothesis: {self.hypothesis!r} has no {{}} for the label")


class ZeroShotPipeline(Pipeline[str, Classified]):
    """Labels of one's own choice: ``pipeline(text, labels=["sport", "politics"])``."""

    task = "zero_shot"
    options = ZeroShotOptions()

    def __init__(self, folder: Path, path: str, engine: Engine, streams: int = 1) -> None:
        super().__init__(folder, path, engine, streams)
        found = [number for number, label in enumerate(self.labels) if label.lower().startswith(_ENTAILMENT)]
        if len(found) != 1:
            names = ", ".join(self.labels) or "none"
            raise ModelError(f"{folder}: zero-shot needs a model with a label 'entailment'; it has {names}")
        self._entailment = found[0]
        against = [number for number, label in enumerate(self.labels) if label.lower().startswith(_CONTRADICTION)]
        others = [number for number in range(len(self.labels)) if number != self._entailment]
        self._against = (against or others)[0]

    def check(self, given: str) -> Hashable:
        """A string; see :meth:`~pocketbert.inference.pipeline.Pipeline.check`."""
        return check_text(given, pairs=False)

    def read(self, inputs: Sequence[str], options: Any) -> list[Read]:
        """A text is read once with each label, as pairs; see :class:`~pocketbert.inference.reading.Reader`.

        Raises:
            PocketBertError: there are no labels to choose among.
        """
        if not options.labels:
            raise PocketBertError("labels: name some to choose among, such as labels=['sport', 'politics']")
        pairs = [(text, options.hypothesis.replace("{}", label)) for text in inputs for label in options.labels]
        reads = self.reader.read(pairs, options.too_long)
        each = len(options.labels)
        return [_joined(reads[start : start + each]) for start in range(0, len(reads), each)]

    def answer(
        self, inputs: Sequence[str], reads: Sequence[Read], logits: Sequence[Logits], options: ZeroShotOptions
    ) -> list[Classified]:
        """See :meth:`~pocketbert.inference.pipeline.Pipeline.answer`."""
        rows = np.stack(logits).reshape(len(inputs), len(options.labels), -1)  # (texts, labels, classes)
        follows = rows[..., self._entailment]
        shares = sigmoid(follows - rows[..., self._against]) if options.multi_label else softmax(follows)
        ranked = [rank(options.labels, each, None) for each in shares]
        return [
            Classified(read.truncated, read.tokens, scores[0].label, scores[0].score, scores)
            for read, scores in zip(reads, ranked, strict=True)
        ]


def _joined(reads: Sequence[Read]) -> Read:
    """The readings of one text with all labels, a window each."""
    windows = [window for read in reads for window in read.windows]
    return Read(windows, any(read.truncated for read in reads), [])
