"""Fully sharded data parallel (FSDP): each rank keeps a share of the weights, their gradients and optimiser state.

What is sharded is a copy. The learner itself stays whole on every rank, for validation and for what is saved, and takes
over the weights of the copy when it is looked at.
"""

from pathlib import Path

from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel
from transformers.trainer import OPTIMIZER_NAME

from pocketbert.errors import PocketBertError
from pocketbert.models.students import layer_type


def settle_plugin(accelerator: Accelerator, student: PreTrainedModel) -> None:
    """Set what ``accelerate`` is to do when it shards.

    Args:
        accelerator: of the trainer, with a plugin for FSDP.
        student: whose layers are gathered one by one.

    Raises:
        PocketBertError: the first version of FSDP is asked for.
    """
    plugin = accelerator.state.fsdp_plugin
    if plugin.fsdp_version != 2:
        raise PocketBertError("FSDP: only its second version shards parameter by parameter; set fsdp_version: 2")
    layer = layer_type(student)
    plugin.auto_wrap_policy = transformer_auto_wrap_policy if layer else None
    plugin.transformer_cls_names_to_wrap = [layer.__name__] if layer else None
    # Every rank has read the weights (``ranks``), and tied ones would come apart on the way from the main one.
    plugin.cpu_ram_efficient_loading = False
    # Shorter types are left to autocast, as without FSDP; this one would shorten what the losses compare with, too.
    plugin.mixed_precision_policy = None


def check_checkpoint(checkpoint: Path, sharded: bool) -> None:
    """Refuse to go on from a checkpoint in another way than it was saved in: the optimiser's state is kept otherwise.

    Args:
        checkpoint: its folder.
        sharded: whether this run is.

    Raises:
        PocketBertError: it was saved with FSDP and this run is without, or the other way.
    """
    if (checkpoint / OPTIMIZER_NAME).is_file() == sharded:
        raise PocketBertError(
            f"{checkpoint}: was saved {'without' if sharded else 'with'} FSDP; go on in the same way, or delete the "
            "folder of the stage to start afresh"
        )


def gather(whole: nn.Module, sharded: nn.Module) -> None:
    """Copy the weights of all ranks' shards into a whole module; every rank has to call it."""
    for own, share in zip(whole.parameters(), sharded.parameters(), strict=True):
        own.data.copy_(full(share.data))


def scatter(whole: nn.Module, sharded: nn.Module) -> None:
    """The way back: each rank's shards take over the weights of a whole module."""
    for own, share in zip(whole.parameters(), sharded.parameters(), strict=True):
        value = own.data.to(share.device)
        if isinstance(share.data, DTensor):
            value = distribute_tensor(value, share.data.device_mesh, share.data.placements)
        share.data.copy_(value)


def full(value: Tensor) -> Tensor:
    """A tensor of which each rank may have a shard, whole."""
    return value.full_tensor() if isinstance(value, DTensor) else value
