"""The command line: it parses, calls and prints."""

import sys

__all__ = ["main"]

_INTERRUPTED = 130
"""By which a shell tells that Ctrl-C ended a program."""


def main() -> None:
    """Run the command line; what is imported for it can be interrupted without a traceback too."""
    try:
        from pocketbert.cli.command import run
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    run()
