"""Keep the libraries below from talking over us, and from talking to anyone else."""

import os

# Read when the libraries are imported, so they have to stand before that.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


def quieten() -> None:
    """Leave progress bars and warnings to PocketBERT's own lines."""
    import warnings

    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=UserWarning, module="torch")
