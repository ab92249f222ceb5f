"""What answers look like, for the OpenAPI description; routes write them as bytes."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Prediction(BaseModel):
    """A label and its score."""

    label: str
    score: float


class Rank(BaseModel):
    """A text's place in the request, and its score."""

    index: int
    score: float
    text: str | None = None


class SimpleToken(BaseModel):
    """A token and where it stands, in characters."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class FoundEntity(BaseModel):
    """A piece of a text, and what it names."""

    entity_group: str
    score: float
    word: str
    start: int
    end: int


class FoundAnswer(BaseModel):
    """A piece of a context that answers; empty where it says nothing."""

    score: float
    start: int
    end: int
    answer: str


class Sorted(BaseModel):
    """A text and its labels, the likeliest first."""

    sequence: str
    labels: list[str]
    scores: list[float]


class Filling(BaseModel):
    """What may stand in a gap."""

    score: float
    token: int
    token_str: str
    sequence: str


class OpenAIEmbedding(BaseModel):
    """A vector; as Base64 it is fp32, little-endian."""

    object: Literal["embedding"]
    embedding: list[float] | str
    index: int


class Usage(BaseModel):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class OpenAIResponse(BaseModel):
    """Vectors, as OpenAI's clients expect them."""

    object: Literal["list"]
    data: list[OpenAIEmbedding]
    model: str
    usage: Usage


class OpenAIModel(BaseModel):
    """A model, as OpenAI's clients expect it."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class OpenAIModels(BaseModel):
    """All models."""

    object: Literal["list"]
    data: list[OpenAIModel]


class Info(BaseModel):
    """About the first model, or the one that ``model`` names."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    model_sha: str | None
    model_dtype: str
    model_type: dict[str, dict[str, Any]]
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int | None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    sha: str | None
    docker_label: str | None


class ModelCard(BaseModel):
    """What a page needs to know of a model."""

    name: str
    task: str
    labels: list[str]
    max_length: int
    engine: str
    file: str
    precision: str
    mask_token: str | None
    zero_shot: bool
    examples: list[list[str]]
    browser: str | None


class ErrorResponse(BaseModel):
    """What was wrong."""

    error: str
    error_type: str


class OpenAIError(BaseModel):
    """The same, as OpenAI's clients expect it."""

    error: dict[str, str | int | None]
