"""Settings of the libraries below: no talk over ours, none to anyone else, and threads that wait without noise."""

import logging
import os
import sys
import warnings

from pocketbert.machine import granted_cores

# Read when the libraries are imported, so they have to stand before that.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")
# From 1.29 on ONNX Runtime numbers each machine and reports processes, sessions and errors of it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
# OpenVINO and NNCF report each import and conversion to a server by this package; where it cannot be had they do not.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
# Threads that spin while they wait for each other lose most of their time where another program wants a core too: a
# training step ran up to eight times slower. Those that fall asleep at once cost a step up to a quarter of its time on
# an idle machine. So they spin for some microseconds (GNU's OpenMP; others sleep), and then sleep (docs/lab-notes.md).
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# Each rank would otherwise be warned that it looks for unused parameters; some heads have them.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
# A container may be granted fewer cores than the machine has; torch would start a thread for each of those.
os.environ.setdefault("OMP_NUM_THREADS", str(granted_cores()))

# What comes with ExecuTorch warns, when it is imported, of kernels for GPUs that are not here.
for _name in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_name).setLevel(logging.ERROR)


def quieten() -> None:
    """Leave progress bars and warnings to PocketBERT's own lines."""
    try:
        import huggingface_hub
        from transformers.utils import logging as transformers_logging
    except ModuleNotFoundError:
        return  # installed without the extra that trains: there is nothing to quieten
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    huggingface_hub.logging.set_verbosity(logging.ERROR)
    warnings.filterwarnings("ignore", category=UserWarning, module="torch")
