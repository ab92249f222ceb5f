"""A signal is told as such, whatever it interrupts."""

import signal
import subprocess
import sys

import pytest

from pocketbert.predict.interruption import SIGNALS, stoppable

PROGRAM = """
import signal, sys
from pocketbert.errors import Interrupted
from pocketbert.predict.interruption import SIGNALS, stoppable

before = [signal.getsignal(each) for each in SIGNALS]
try:
    with stoppable("out.csv"):
        try:
            signal.raise_signal(int(sys.argv[1]))
        except Interrupted:
            raise ImportError("initialization failed") from None
except Interrupted as stopped:
    print(stopped)
print([signal.getsignal(each) for each in SIGNALS] == before)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_library_that_is_interrupted_in_its_import_and_says_something_else(number):
    """In a process of its own: what other tests import may have taken the signals of this one for itself."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(int(number))], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    message, restored = done.stdout.splitlines()
    assert message.startswith(f"out.csv: stopped by {signal.Signals(number).name}") and restored == "True"


def test_other_errors_stay_what_they_are():
    with pytest.raises(ImportError, match="no such"), stoppable("out.csv"):
        raise ImportError("no such")
