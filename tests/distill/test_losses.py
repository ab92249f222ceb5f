"""Losses against other formulas (golden.py), their reductions and their gradients."""

import golden
import numpy as np
import pytest
import torch

from pocketbert.distill import losses

ROWS, CLASSES = 7, 11
RANDOM = np.random.default_rng(0)
STUDENT, TEACHER = RANDOM.normal(0, 3, (2, ROWS, CLASSES))
CLASS = RANDOM.integers(0, CLASSES, ROWS)
YES_NO = RANDOM.integers(0, 2, (ROWS, CLASSES)).astype(float)

CASES = {
    "soft_target_loss T=1": (losses.soft_target_loss, golden.soft_targets, (TEACHER, 1.0)),
    "soft_target_loss T=2": (losses.soft_target_loss, golden.soft_targets, (TEACHER, 2.0)),
    "soft_target_loss T=7.5": (losses.soft_target_loss, golden.soft_targets, (TEACHER, 7.5)),
    "binary_soft_target_loss T=1": (losses.binary_soft_target_loss, golden.binary_soft_targets, (TEACHER, 1.0)),
    "binary_soft_target_loss T=3": (losses.binary_soft_target_loss, golden.binary_soft_targets, (TEACHER, 3.0)),
    "cross_entropy_loss": (losses.cross_entropy_loss, golden.cross_entropy, (CLASS,)),
    "binary_cross_entropy_loss": (losses.binary_cross_entropy_loss, golden.binary_cross_entropy, (YES_NO,)),
    "squared_error_loss": (losses.squared_error_loss, golden.squared_error, (TEACHER,)),
    "value_loss": (losses.value_loss, golden.squared_error, (TEACHER,)),
    "cosine_loss": (losses.cosine_loss, golden.cosine_distance, (TEACHER,)),
    "patience_loss": (losses.patience_loss, golden.patience, (TEACHER,)),
}
each_loss = pytest.mark.parametrize("name", CASES)


def tensors(arguments, rows=slice(None)):
    """Arrays as tensors, numbers as they are."""
    return [torch.from_numpy(value[rows]) if isinstance(value, np.ndarray) else value for value in arguments]


def run(name, student=STUDENT, rows=slice(None), **options):
    """The loss of some rows."""
    loss, _, arguments = CASES[name]
    return loss(*tensors([student, *arguments], rows), **options)


@each_loss
def test_losses_equal_the_golden_numbers(name):
    _, formula, arguments = CASES[name]
    assert run(name).item() == pytest.approx(formula(STUDENT, *arguments), rel=1e-5)


@each_loss
def test_losses_are_computed_in_fp32_whatever_comes_in(name):
    loss, formula, arguments = CASES[name]
    halved = [value.astype(np.float16) if isinstance(value, np.ndarray) and value.dtype == float else value
              for value in (STUDENT, *arguments)]  # fmt: skip
    exact = formula(
        *[value.astype(float) if getattr(value, "dtype", None) == np.float16 else value for value in halved]
    )
    result = loss(*tensors(halved))
    assert result.dtype == torch.float32
    assert result.item() == pytest.approx(exact, rel=1e-5)


@each_loss
def test_gradients_equal_finite_differences_of_the_golden_formula(name):
    loss, formula, arguments = CASES[name]
    student = torch.tensor(STUDENT, requires_grad=True)
    loss(student, *tensors(arguments)).backward()
    step, differences = 1e-5, np.zeros_like(STUDENT)
    for place in np.ndindex(STUDENT.shape):
        up, down = STUDENT.copy(), STUDENT.copy()
        up[place] += step
        down[place] -= step
        differences[place] = (formula(up, *arguments) - formula(down, *arguments)) / (2 * step)
    assert student.grad.numpy() == pytest.approx(differences, abs=2e-6)


@each_loss
def test_parts_with_the_count_of_the_whole_add_up(name):
    whole = run(name)
    parts = [run(name, rows=part, count=ROWS) for part in (slice(0, 1), slice(1, 5), slice(5, ROWS))]
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-6)


@each_loss
def test_the_count_may_be_a_tensor(name):
    assert run(name, count=torch.tensor(2 * ROWS)).item() == pytest.approx(run(name).item() / 2, rel=1e-6)


@each_loss
def test_repeating_all_rows_changes_nothing(name):
    loss, _, arguments = CASES[name]
    doubled = [np.concatenate([value, value]) if isinstance(value, np.ndarray) else value
               for value in (STUDENT, *arguments)]  # fmt: skip
    assert loss(*tensors(doubled)).item() == pytest.approx(run(name).item(), rel=1e-6)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("soft")])
def test_classes_without_probability_do_not_shrink_soft_targets(name):
    """A loss averaged over classes would halve when their number doubles."""
    loss, _, (teacher, temperature) = CASES[name]
    nothing = np.full_like(STUDENT, -1e4)
    wide = [torch.from_numpy(np.concatenate([values, nothing], axis=1)) for values in (STUDENT, teacher)]
    assert loss(*wide, temperature).item() == pytest.approx(run(name).item(), rel=1e-6)


@pytest.mark.parametrize("name", ["binary_soft_target_loss T=3", "binary_cross_entropy_loss"])
def test_labels_side_by_side_add_up(name):
    """In both, so that their weights stand for the same share whatever the number of labels."""
    loss, _, (target, *more) = CASES[name]
    wide = [torch.from_numpy(np.concatenate([values, values], axis=1)) for values in (STUDENT, target)]
    assert loss(*wide, *more).item() == pytest.approx(2 * run(name).item(), rel=1e-6)


@pytest.mark.parametrize("loss", [losses.soft_target_loss, losses.binary_soft_target_loss])
def test_temperature_squared_keeps_the_size_of_gradients(loss):
    """With T², the gradient tends to a constant as T grows (Hinton et al. 2015); without, it falls as 1/T²."""
    norms = []
    for temperature in (50.0, 100.0):
        student = torch.tensor(STUDENT, requires_grad=True)
        loss(student, torch.tensor(TEACHER), temperature).backward()
        norms.append(student.grad.norm().item())
    assert norms[1] == pytest.approx(norms[0], rel=0.05)


@pytest.mark.parametrize(
    "name", [name for name in CASES if "soft" in name or name in ("squared_error_loss", "cosine_loss", "patience_loss")]
)
def test_nothing_is_lost_by_saying_what_the_teacher_says(name):
    assert run(name, student=TEACHER).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", ["soft_target_loss T=2", "binary_soft_target_loss T=3"])
@pytest.mark.parametrize("far", [1e4, 1e30])
def test_sure_teachers_give_finite_losses_and_gradients(name, far):
    loss, _, (_, temperature) = CASES[name]
    student = torch.tensor(STUDENT, requires_grad=True)
    result = loss(student, torch.tensor(TEACHER * far).float(), temperature)
    result.backward()
    assert torch.isfinite(result) and torch.isfinite(student.grad).all()


@each_loss
def test_a_micro_batch_without_rows_weighs_nothing(name):
    student = torch.zeros(0, CLASSES, requires_grad=True)
    loss, _, arguments = CASES[name]
    result = loss(student, *tensors(arguments, slice(0, 0)), count=5)
    result.backward()
    assert result.item() == 0


def test_a_value_that_is_not_known_adds_nothing():
    student = torch.tensor(STUDENT, requires_grad=True)
    values = np.where(np.arange(ROWS)[:, None] == 2, np.nan, TEACHER)
    result = losses.value_loss(student, torch.tensor(values), ROWS - 1)
    result.backward()
    known = np.arange(ROWS) != 2
    assert result.item() == pytest.approx(golden.squared_error(STUDENT[known], TEACHER[known]), rel=1e-5)
    assert student.grad[2].abs().max() == 0 and torch.isfinite(student.grad).all()


@pytest.mark.parametrize(
    "name",
    ["soft_target_loss T=2", "binary_soft_target_loss T=3", "squared_error_loss", "cosine_loss", "patience_loss"],
)
def test_a_teacher_that_says_no_number_is_not_passed_over(name):
    """A teacher that overflows has to stop the run; nothing could be learnt from it."""
    loss, _, (teacher, *rest) = CASES[name]
    broken = torch.tensor(np.where(np.arange(ROWS)[:, None] == 2, np.nan, teacher))
    assert loss(torch.tensor(STUDENT), broken, *rest).isnan()


@pytest.mark.parametrize("loss", [losses.soft_target_loss, losses.binary_soft_target_loss])
@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_that_is_not_positive_is_refused(loss, temperature):
    with pytest.raises(ValueError, match="positive"):
        loss(torch.zeros(2, 3), torch.zeros(2, 3), temperature)


@pytest.mark.parametrize("name", [name for name in CASES if "entropy" not in name])
def test_shapes_that_would_broadcast_are_refused(name):
    loss, _, arguments = CASES[name]
    with pytest.raises(ValueError, match="differ in shape"):
        loss(torch.zeros(ROWS, 1), *tensors(arguments))
