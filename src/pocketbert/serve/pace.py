"""How long a batch takes, and a wait: learned from those that were."""

import numpy as np

_KEPT = 0.97
"""Of the weight of what was learned, with each new batch: about the last thirty count."""
_LONG = 512
"""Tokens by which lengths are divided, so that the three costs are of like size."""
_RECENT = 0.95
"""Of the weight of waits, with each new one."""
_BEFORE = 0.05
"""Seconds of a wait as it was foreseen, which stands for all that was not seen yet."""
_MOST = 3.0
"""Times as long as foreseen, at most: after a bad moment nobody might wait, and nothing be learned any more."""


class Pace:
    """Seconds of a batch as ``a + b·tokens + c·tokens·length``: the call, the layers, the attention.

    The three follow what runs by least squares of relative errors, older batches with ever less weight, none below
    nothing (one step of coordinate descent for each batch). That errors are relative keeps one slow moment from
    counting for more than many others.
    """

    def __init__(self) -> None:
        self._products, self._sums = np.zeros((3, 3)), np.zeros(3)
        self._costs = np.zeros(3)

    def learn(self, windows: int, length: int, seconds: float) -> None:
        """Learn from a batch.

        Args:
            windows: of it.
            length: tokens of each, padding included.
            seconds: that it took.
        """
        shares = _features(windows, length) / max(seconds, 1e-6)  # of a prediction that should come to 1
        self._products = _KEPT * self._products + np.outer(shares, shares)
        self._sums = _KEPT * self._sums + shares
        for place in (1, 0, 2):  # batches of one shape alone cannot tell the three apart: tokens then bear it all
            error = self._sums[place] - self._products[place] @ self._costs
            self._costs[place] = max(0.0, self._costs[place] + error / self._products[place, place])

    def of_batch(self, windows: int, length: int) -> float:
        """Seconds of a batch; 0 before the first one."""
        return float(self._costs @ _features(windows, length))

    def of_window(self, length: int) -> float:
        """Seconds by which a window lengthens a batch of its length."""
        return self.of_batch(2, length) - self.of_batch(1, length)


class Foresight:
    """By how much waits are longer than the work that was before them: others come meanwhile and join that work.

    The factor is that of least squares, so that long waits tell more than short ones, which are half a matter of luck.
    """

    def __init__(self) -> None:
        self._products = self._squares = _BEFORE**2

    @property
    def factor(self) -> float:
        """By which the seconds of work before a window are multiplied."""
        return min(_MOST, self._products / self._squares)

    def learn(self, work: float, waited: float) -> None:
        """Learn from a window that has waited.

        Args:
            work: seconds that were foreseen for what was before it.
            waited: seconds.
        """
        self._products = _RECENT * self._products + work * waited
        self._squares = _RECENT * self._squares + work**2


def _features(windows: int, length: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    tokens = windows * length / _LONG
    return np.array([1.0, tokens, tokens * length / _LONG])
