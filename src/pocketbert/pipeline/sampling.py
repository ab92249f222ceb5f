"""Which values a search tries next: Optuna's tree-structured Parzen estimator, as a function of the trials so far.

The study is made anew of the trials' own records each time, and its random numbers come from (seed, number of the
trial). So a search has no state beside those records, and one that was killed goes on as if it had not been.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from pocketbert.pipeline.space import Axis
from pocketbert.pipeline.trials import Trial

optuna.logging.set_verbosity(optuna.logging.WARNING)


def suggest(axes: Sequence[Axis], seed: int, trials: Sequence[Trial]) -> dict[str, Any]:
    """The values of the next trial.

    Args:
        axes: the searched fields.
        seed: of the search.
        trials: all before it, each finished or failed.

    Returns:
        Values by path.
    """
    own = int(np.random.SeedSequence([seed, len(trials)]).generate_state(1)[0])
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=own))
    distributions = {axis.path: _distribution(axis) for axis in axes}
    for trial in trials:
        study.add_trial(_as_told(trial, axes, distributions))
    asked = study.ask(distributions).params
    return {axis.path: _value(axis, asked[axis.path]) for axis in axes}


def _distribution(axis: Axis) -> BaseDistribution:
    field = axis.field
    if field.choices is not None:
        # By their places, for Optuna's own choices can be neither lists nor sections.
        return CategoricalDistribution(range(len(field.choices)))
    low, high, step = field.low or 0.0, field.high or 0.0, field.step
    if axis.whole:
        return IntDistribution(int(low), int(high), log=field.log, step=int(step or 1))
    return FloatDistribution(low, high, log=field.log, step=step)


def _value(axis: Axis, asked: Any) -> Any:
    return asked if axis.field.choices is None else axis.field.choices[asked]


def _as_told(trial: Trial, axes: Sequence[Axis], distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    """A trial as Optuna knows it; a failed one counts as the worst, so that its neighbours are tried less often."""
    params = {
        axis.path: trial.values[axis.path]
        if axis.field.choices is None
        else axis.field.choices.index(trial.values[axis.path])
        for axis in axes
    }
    return optuna.trial.create_trial(
        params=params,
        distributions=distributions,
        value=trial.score,
        state=TrialState.COMPLETE if trial.score is not None else TrialState.PRUNED,
    )
