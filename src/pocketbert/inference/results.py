"""What pipelines answer. Scores are probabilities from 0 to 1; places are characters of the text as it was given."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Score:
    """A label and how likely it is.

    Attributes:
        label: its name.
        score: from 0 to 1.
    """

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Result:
    """What every answer tells beside the answer.

    Attributes:
        truncated: whether a part of the text was not read, for it was longer than the model takes.
        tokens: that were read, special tokens included.
    """

    truncated: bool
    tokens: int


@dataclass(frozen=True, slots=True)
class Classified(Result):
    """One label for a text or a pair.

    Attributes:
        label: the likeliest.
        score: of it, by softmax.
        scores: all labels, the likeliest first; as many as were asked for.
    """

    label: str
    score: float
    scores: list[Score]


@dataclass(frozen=True, slots=True)
class MultiLabelled(Result):
    """Any number of labels for a text.

    Attributes:
        labels: those whose score reaches the threshold, the likeliest first.
        scores: all labels, each by a sigmoid of its own, the likeliest first; as many as were asked for.
    """

    labels: list[str]
    scores: list[Score]


@dataclass(frozen=True, slots=True)
class Regressed(Result):
    """A number for a text or a pair.

    Attributes:
        value: in the unit of the training data.
    """

    value: float


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its tag.

    Attributes:
        text: as it stands in the text.
        start: its first character.
        end: one past its last.
        tag: the likeliest; ``O`` where nothing of the word was read.
        score: of the tag.
    """

    text: str
    start: int
    end: int
    tag: str
    score: float


@dataclass(frozen=True, slots=True)
class Entity:
    """Neighbouring words of one type.

    Attributes:
        type: its name, without the prefix that the tags have.
        text: as it stands in the text.
        start: its first character.
        end: one past its last.
        score: the mean of its words'.
    """

    type: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Tagged(Result):
    """The entities of a text.

    Attributes:
        entities: in their order.
        words: every word with its tag. Of words given as a list the places are those in the words joined by spaces.
    """

    entities: list[Entity]
    words: list[Word] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a context that answers.

    Attributes:
        text: as it stands in the context.
        start: its first character.
        end: one past its last.
        score: among all pieces of the context, and "no answer" where that is possible.
    """

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Answered(Result):
    """Answers to a question.

    Attributes:
        answers: the likeliest first, none within another; empty where the context has none.
        no_answer: how likely it is that the context has none; 0 where the model was not asked.
    """

    answers: list[Span]
    no_answer: float


@dataclass(frozen=True, slots=True)
class Guess:
    """What may stand in a gap.

    Attributes:
        id: of the piece in the vocabulary.
        token: the piece as people write it.
        score: among all pieces.
        text: the whole text with the piece in this gap.
    """

    id: int
    token: str
    score: float
    text: str


@dataclass(frozen=True, slots=True)
class Filled(Result):
    """The gaps of a text.

    Attributes:
        gaps: for each gap in order its guesses, the likeliest first.
    """

    gaps: list[list[Guess]]


@dataclass(frozen=True, slots=True)
class Embedded(Result):
    """A text as a vector.

    Attributes:
        vector: (width,) in fp32.
    """

    vector: NDArray[np.float32]
