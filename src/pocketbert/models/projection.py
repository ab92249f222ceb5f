"""Running a model so that it computes no more than is looked at.

The vocabulary projection is the widest matrix of a masked-LM model, and only some positions are counted. A forward
hook on the encoder hands the head just these, which works for every family without a word about its head. Where
nothing but the inside of a model is wanted, it runs no further than that.
"""

import inspect
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pocketbert.models.inside import Inside, Seen, Window
from pocketbert.models.undecoded import Undecoded

MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Outputs(NamedTuple):
    """What a forward pass gave.

    Attributes:
        logits: the head's own, (batch, labels) or (batch, tokens, labels); question answering has start and end
            stacked, (batch, tokens, 2).
        inside: what was wanted of the layers.
    """

    logits: Tensor
    inside: Seen


class Chosen(NamedTuple):
    """What a forward pass gave whose head looked at chosen positions alone.

    Attributes:
        logits: of the chosen positions, still to be made.
        inside: what was wanted of the layers, of all positions.
    """

    logits: Undecoded
    inside: Seen


class Projection:
    """A model that computes no more than is looked at.

    Args:
        model: any ``transformers`` encoder with a head; left as it is between calls.
        wanted: what of its inside is wanted at each call.

    Raises:
        ModelError: its inside is wanted, and it is of a family that cannot be looked into.
    """

    def __init__(self, model: nn.Module, wanted: Inside | None = None) -> None:
        config: Any = model.config
        self._model: Any = model
        self._wanted = wanted or Inside()
        self._last: int = config.num_hidden_layers - 1
        # The last hidden states are what an encoder gives; to see more it has to be looked into.
        self._window = Window(model) if self._wanted.without(self._last) else None

    def __call__(self, inputs: dict[str, Tensor]) -> Outputs:
        """Run the model with the head of a task.

        Args:
            inputs: what the model takes.
        """
        with self._open(stop=False) as inside, self._last_states(inside):
            logits = _logits(self._model(**inputs))
        return Outputs(logits, inside)

    def choose(self, inputs: dict[str, Tensor], positions: Tensor) -> Chosen:
        """Run a masked language model whose head looks at some positions.

        Args:
            inputs: what the model takes.
            positions: (places,) int64 where the head is to look, counted through the rows of the batch.
        """
        with self._open(stop=False) as inside, _bare_head(self._model) as decoder:
            with self._last_states(inside, positions):
                # (1, positions, width) → (positions, width)
                features = self._model(**inputs)["logits"].squeeze(0)
            return Chosen(Undecoded.of(features, decoder.weight, decoder.bias), inside)

    def look(self, inputs: dict[str, Tensor]) -> Seen:
        """Run the model as far as its inside is wanted: no head, and no layer after the last one that is.

        Args:
            inputs: what the model takes.
        """
        with self._open(stop=True) as inside:
            # Where an earlier layer was the last one wanted, what follows is not reached.
            inside.states[self._last] = self._model.base_model(**inputs)[0]
        return inside

    @contextmanager
    def _last_states(self, inside: Seen, positions: Tensor | None = None) -> Iterator[None]:
        """Take note of the last hidden states, and hand the head no more than the positions."""

        def select(_encoder: nn.Module, _inputs: Any, output: Any) -> Any:
            if self._last in self._wanted.states:
                inside.states[self._last] = output[0]
            if positions is not None:
                # (batch, tokens, width) → (1, positions, width)
                output["last_hidden_state"] = output[0].flatten(0, 1).index_select(0, positions).unsqueeze(0)
            return output

        handle = self._model.base_model.register_forward_hook(select)
        try:
            yield
        finally:
            handle.remove()

    def _open(self, stop: bool) -> AbstractContextManager[Seen]:
        return self._window.open(self._wanted, stop) if self._window else nullcontext(Seen())


def model_inputs(batch: dict[str, Tensor], accepted: frozenset[str]) -> dict[str, Tensor]:
    """Those parts of a batch that a model takes."""
    return {key: value for key, value in batch.items() if key in accepted}


def accepted_inputs(model: nn.Module) -> frozenset[str]:
    """Which inputs a model's forward takes, such as ``token_type_ids``."""
    return frozenset(MODEL_INPUTS) & frozenset(inspect.signature(model.forward).parameters)


@contextmanager
def _bare_head(model: Any) -> Iterator[nn.Linear]:
    """Leave the vocabulary out of a masked-LM head inside the block; gives the layer that was taken out."""
    decoder: nn.Linear = model.get_output_embeddings()
    place, _, name = next(path for path, module in model.named_modules() if module is decoder).rpartition(".")
    head = model.get_submodule(place)
    setattr(head, name, nn.Identity())
    try:
        yield decoder
    finally:
        setattr(head, name, decoder)


def _logits(output: Any) -> Tensor:
    if "start_logits" in output:
        return torch.stack([output["start_logits"], output["end_logits"]], dim=-1)
    logits: Tensor = output["logits"]
    return logits
