"""A signal is told as such, whatever it interrupts."""

import signal

import pytest

from pocketbert.errors import Interrupted
from pocketbert.predict.interruption import SIGNALS, stoppable


@pytest.mark.parametrize("number", SIGNALS)
def test_a_library_that_is_interrupted_in_its_import_and_says_something_else(number):
    before = [signal.getsignal(each) for each in SIGNALS]
    with pytest.raises(Interrupted, match=rf"out\.csv: stopped by {number.name}"), stoppable("out.csv"):
        try:
            signal.raise_signal(number)
        except Interrupted:
            raise ImportError("initialization failed") from None
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_other_errors_stay_what_they_are():
    with pytest.raises(ImportError, match="no such"), stoppable("out.csv"):
        raise ImportError("no such")
