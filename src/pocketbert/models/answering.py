"""A model reduced to its answer: the tensors that an exported file gives, pooling of embeddings included."""

from typing import Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from pocketbert.models.projection import accepted_inputs

Pooling = Literal["mean", "cls"]


class Answering(nn.Module):
    """A model that returns its answer alone.

    Args:
        model: with the head of its task; without a head for embeddings.
        inputs: names of what its tokenizer gives.
        pooling: how an embedding is made of the tokens; None for models with a head.

    Attributes:
        inputs: what the model takes of these, in the order of the file's inputs.
        outputs: names of the tensors it returns, in their order: ``logits``; ``start_logits`` and ``end_logits`` of
            spans; ``sentence_embedding``.
    """

    def __init__(self, model: PreTrainedModel, inputs: list[str], pooling: Pooling | None = None) -> None:
        super().__init__()
        self.model = model
        self.pooling = pooling
        self.inputs = [name for name in inputs if name in accepted_inputs(model)]
        spans = "QuestionAnswering" in type(model).__name__
        self.outputs = ["sentence_embedding"] if pooling else ["start_logits", "end_logits"] if spans else ["logits"]

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """The answer to a padded batch.

        Args:
            input_ids: (batch, tokens).
            attention_mask: (batch, tokens) 1 for tokens, 0 for padding.
            token_type_ids: (batch, tokens), for models that take them.

        Returns:
            The tensors that ``outputs`` names; embeddings (batch, width).
        """
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        output = self.model(input_ids=input_ids, attention_mask=attention_mask, **types)
        if self.pooling is None:
            return tuple(output[name] for name in self.outputs)
        return (_pool(output["last_hidden_state"], attention_mask, self.pooling),)


def _pool(hidden: Tensor, attention_mask: Tensor, pooling: Pooling) -> Tensor:
    """(batch, tokens, width) → (batch, width): the first token, or the mean of those that are no padding."""
    if pooling == "cls":
        return hidden[:, 0]
    counted = attention_mask.unsqueeze(-1).to(hidden.dtype)  # (batch, tokens, 1)
    return (hidden * counted).sum(dim=1) / torch.clamp(counted.sum(dim=1), min=1.0)
