"""What requests look like; the OpenAPI description follows from here.

Those of text-embeddings-inference and of OpenAI are as they have them. The others are what the pipelines of
`transformers` made familiar, with inputs either plain or as ``{"inputs": …, "parameters": {…}}``.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

Texts = str | Annotated[list[str], Field(min_length=1)]
"""One text, or some."""
Pair = Annotated[list[str], Field(min_length=2, max_length=2)]
TextOrPair = Annotated[list[str], Field(min_length=1, max_length=2)]
PredictInput = str | Pair | Annotated[list[TextOrPair], Field(min_length=1)]
"""A text, a pair of texts, or a batch in which each is a list of one or two."""
Direction = Literal["Right", "right"]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Name = Annotated[str | None, Field(description="of the model; the first that answers such requests when absent")]


class Body(BaseModel):
    """A part of a request: unknown fields are refused, and values are taken as they are."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Cut(Body):
    """What becomes of texts that are too long, and a field that other servers have."""

    truncate: bool | None = Field(None, description="cut texts that are too long; as the server is set when absent")
    truncation_direction: Direction = Field("Right", description="which end is cut")
    prompt_name: None = Field(None, description="models here have no prompts")


class PredictParameters(Body):
    """As of the text-classification pipeline."""

    top_k: Count | None = None
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = None


class PredictRequest(Cut):
    """Texts or pairs to classify, or to give a number."""

    inputs: PredictInput
    raw_scores: bool = Field(False, description="logits instead of probabilities")
    parameters: PredictParameters | None = None
    model: Name = None


class EmbedRequest(Cut):
    """Texts to turn into vectors."""

    inputs: Texts
    normalize: bool = True
    model: Name = None


class RerankRequest(Cut):
    """Texts to order by how well they fit a query."""

    query: str
    texts: Annotated[list[str], Field(min_length=1)]
    raw_scores: bool = False
    return_text: bool = False
    model: Name = None


class SimilarityInput(Body):
    """A text, and those that it is compared with."""

    source_sentence: str
    sentences: Annotated[list[str], Field(min_length=1)]


class SimilarityRequest(Body):
    """Texts to compare."""

    inputs: SimilarityInput
    parameters: Cut | None = None
    model: Name = None


class TokenizeRequest(Body):
    """Texts to cut into tokens."""

    inputs: Texts
    add_special_tokens: bool = True
    prompt_name: None = None
    model: Name = None


class OpenAIRequest(Body):
    """Texts to turn into vectors, as OpenAI's clients ask."""

    input: Texts
    model: Name = None
    encoding_format: Literal["float", "base64"] = "float"
    user: str | None = None


class TokensParameters(Body):
    """As of the token-classification pipeline; tags are those of whole words."""

    aggregation_strategy: Literal["simple", "first"] | None = None
    ignore_labels: list[str] | None = None


class TokensRequest(Body):
    """Texts to find entities in."""

    inputs: Texts
    parameters: TokensParameters | None = None
    model: Name = None


class Question(Body):
    """A question and the text that answers it."""

    question: str
    context: str


class AnswerParameters(Body):
    """As of the question-answering pipeline."""

    top_k: Count | None = None
    handle_impossible_answer: bool | None = None


class PlainAnswerRequest(Question, AnswerParameters):
    """A question to answer."""

    model: Name = None


class AnswerRequest(Body):
    """Questions to answer."""

    inputs: Question | Annotated[list[Question], Field(min_length=1)]
    parameters: AnswerParameters | None = None
    model: Name = None


class ZeroShotParameters(Body):
    """As of the zero-shot-classification pipeline."""

    candidate_labels: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    hypothesis_template: str | None = None
    multi_label: bool | None = None


class PlainZeroShotRequest(ZeroShotParameters, Cut):
    """Texts to sort under labels of one's own."""

    inputs: Texts
    model: Name = None


class ZeroShotRequest(Cut):
    """The same; the answer is a list of labels and scores."""

    inputs: Texts
    parameters: ZeroShotParameters
    model: Name = None


class FillMaskParameters(Body):
    """As of the fill-mask pipeline."""

    top_k: Count | None = None


class FillMaskRequest(FillMaskParameters):
    """Texts with gaps to fill."""

    inputs: Texts
    parameters: FillMaskParameters | None = None
    model: Name = None


def _form(name: str) -> Discriminator:
    """Tell two forms apart by a field that one of them has."""
    return Discriminator(lambda body: name if isinstance(body, dict) and name in body else "plain")


AnyAnswerRequest = Annotated[
    Annotated[PlainAnswerRequest, Tag("plain")] | Annotated[AnswerRequest, Tag("inputs")], _form("inputs")
]
AnyZeroShotRequest = Annotated[
    Annotated[PlainZeroShotRequest, Tag("plain")] | Annotated[ZeroShotRequest, Tag("parameters")], _form("parameters")
]
