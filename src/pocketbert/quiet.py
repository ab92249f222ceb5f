"""Keep the libraries below from talking over us, and from talking to anyone else."""

import logging
import os
import warnings

# Read when the libraries are imported, so they have to stand before that.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


def quieten() -> None:
    """Leave progress bars and warnings to PocketBERT's own lines."""
    import huggingface_hub
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    huggingface_hub.logging.set_verbosity(logging.ERROR)
    warnings.filterwarnings("ignore", category=UserWarning, module="torch")
