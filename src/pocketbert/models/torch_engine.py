"""Torch as an engine: the model that every exported file is held against."""

import numpy as np
import torch
from numpy.typing import NDArray

from pocketbert.engines.base import Inputs, Logits, arrange_outputs
from pocketbert.engines.description import Description
from pocketbert.models.answering import Answering


class TorchEngine:
    """A torch model; see :class:`~pocketbert.engines.base.Engine`.

    Args:
        module: the model and which answer it gives; put in evaluation mode.
        description: what it is.
    """

    name = "torch"

    def __init__(self, module: Answering, description: Description) -> None:
        self._module = module.eval()
        self.description = description
        self.inputs = frozenset(module.inputs)

    def run(self, inputs: Inputs) -> Logits:
        """Logits of a padded batch; see :class:`~pocketbert.engines.base.Engine`."""
        return arrange_outputs(self.outputs(inputs))

    @torch.inference_mode()
    def outputs(self, inputs: Inputs) -> dict[str, NDArray[np.float32]]:
        """The tensors of the answer by the names that an exported file gives them."""
        device = self._module.model.device
        feed = {name: torch.from_numpy(inputs[name]).to(device) for name in self._module.inputs}
        answer = [values.float().cpu().numpy() for values in self._module(**feed)]
        return dict(zip(self._module.outputs, answer, strict=True))
