"""How every command ends; a verb is a function of ``making``, ``measuring`` or ``running``."""

import errno
import sys

from pocketbert import quiet
from pocketbert.cli import making, measuring, running  # noqa: F401 - each adds its verbs to the application
from pocketbert.cli.app import app
from pocketbert.errors import PocketBertError
from pocketbert.terminal import end

WITHOUT_TRAINING = ("predict", "serve")
"""Verbs that need nothing of the extra `train`, and import nothing of it where it is installed."""

SERVE = ("fastapi", "orjson", "prometheus_client", "uvicorn")
"""What the extra `serve` brings."""

TRAIN = ("accelerate", "huggingface_hub", "safetensors", "torch", "transformers")
"""What the extra `train` brings and every verb needs."""

NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
"""Errors of the system that are about the place a person named, or its size."""


def run() -> None:
    """Run the command; mistakes end with one message and their exit code, without a traceback."""
    if not set(sys.argv[1:2]) & set(WITHOUT_TRAINING):
        quiet.quieten()
    try:
        app(standalone_mode=True)
    except PocketBertError as error:
        end(error)
    except OSError as error:
        if error.errno not in NO_PLACE:
            raise
        end(
            PocketBertError(
                f"{error.filename or 'a file'}: {error.strerror}; what was finished is kept. Make room "
                "or name another place, and run the same command again"
            )
        )
    except MemoryError as error:
        reason = str(error) or "there is no memory left"
        end(PocketBertError(f"{reason}; what was finished is kept. Free some, and run the same command again"))
    except ModuleNotFoundError as error:
        extra = "train" if error.name in TRAIN else "serve" if error.name in SERVE else None
        if extra is None:
            raise
        end(PocketBertError(f"{error.name} is not installed; pip install 'pocketbert[{extra}]'"))
