"""A vocabulary's losses in chunks: the same as all at once, and never whole."""

import pytest
import torch
from torch.nn import functional

from pocketbert.distill import chunks, losses
from pocketbert.models.undecoded import Undecoded

ROWS, WIDTH, CLASSES = 23, 8, 50


def tensors(dtype=torch.float32, bias=True):
    generator = torch.Generator().manual_seed(0)
    shapes = [(ROWS, WIDTH), (CLASSES, WIDTH), (CLASSES,)]
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes[: 2 + bias]]


TEACHER = torch.randn((ROWS, CLASSES), generator=torch.Generator().manual_seed(1))
LABELS = torch.randint(0, CLASSES, (ROWS,), generator=torch.Generator().manual_seed(2))


def of_rows(logits, theirs, rows):
    parts = {
        "soft_targets": losses.soft_target_loss(logits, theirs, 2.0, ROWS),
        "masked_lm": losses.cross_entropy_loss(logits, LABELS[rows], ROWS),
    }
    return 5 * parts["soft_targets"] + 2 * parts["masked_lm"], parts


def undecoded(leaves):
    return Undecoded(*leaves, *[None] * (3 - len(leaves)))


def in_chunks(monkeypatch, leaves, chunk, piece=None, teacher=TEACHER):
    monkeypatch.setattr(chunks, "ON_CPU", chunks.Sizes(chunk, piece or chunk))
    total, parts = chunks.sum_losses(undecoded(leaves), teacher, of_rows)
    (3 * total).backward()
    return total, parts, [leaf.grad for leaf in leaves]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("chunk", "piece"), [(1, 1), (7, 7), (7, 3), (ROWS, 5), (ROWS, ROWS), (10**4, 4), (10**4, 10**4)]
)
def test_chunks_and_pieces_give_the_losses_and_gradients_of_the_whole(monkeypatch, chunk, piece, bias):
    whole = tensors(bias=bias)
    total, parts = of_rows(functional.linear(*whole), TEACHER, slice(None))
    (3 * total).backward()
    leaves = tensors(bias=bias)
    found, found_parts, gradients = in_chunks(monkeypatch, leaves, chunk * CLASSES, piece * CLASSES)
    assert found.item() == pytest.approx(total.item(), rel=1e-6)
    assert {name: value.item() for name, value in found_parts.items()} == pytest.approx(
        {name: value.item() for name, value in parts.items()}, rel=1e-6
    )
    assert not any(value.requires_grad for value in found_parts.values())
    for leaf, gradient in zip(whole, gradients, strict=True):
        assert torch.allclose(leaf.grad, gradient, rtol=1e-5, atol=1e-6)


def test_a_teacher_is_decoded_by_chunks_too(monkeypatch):
    theirs = undecoded([leaf.detach() + 1 for leaf in tensors()])
    known = in_chunks(monkeypatch, tensors(), 10**6, teacher=theirs.decode())[0]
    assert in_chunks(monkeypatch, tensors(), 7 * CLASSES, 3 * CLASSES, theirs)[0].item() == pytest.approx(known.item())


def test_no_chunk_and_no_piece_is_larger_than_it_may_be(monkeypatch):
    made, compared = [], []
    decode = Undecoded.decode

    def counted(self, rows):
        made.append(rows.stop - rows.start)
        return decode(self, rows)

    def watched(logits, theirs, rows):
        assert len(logits) == len(theirs) == rows.stop - rows.start
        compared.append(len(logits))
        return of_rows(logits, theirs, rows)

    monkeypatch.setattr(Undecoded, "decode", counted)
    monkeypatch.setattr(chunks, "ON_CPU", chunks.Sizes(10 * CLASSES, 4 * CLASSES))
    chunks.sum_losses(Undecoded(*tensors()), TEACHER, watched)
    assert made == [10, 10, 3]
    assert compared == [4, 4, 2, 4, 4, 2, 3]


def test_short_types_sum_up_in_fp32(monkeypatch):
    """Many chunks in bf16 are no worse than one."""
    exact = in_chunks(monkeypatch, tensors(), 10**6)[2]
    one, many = (in_chunks(monkeypatch, tensors(torch.bfloat16), size)[2] for size in (10**6, CLASSES))
    for right, first, second in zip(exact, one, many, strict=True):
        errors = [(right - gradient.float()).abs().mean().item() for gradient in (first, second)]
        assert second.dtype == torch.bfloat16 and errors[1] < 1.2 * errors[0] + 1e-6


def test_without_any_position_every_loss_is_there_and_nothing():
    leaves = [torch.zeros(0, WIDTH, requires_grad=True), *tensors()[1:]]
    total, parts = chunks.sum_losses(
        Undecoded(*leaves), None, lambda logits, theirs, rows: (logits.sum(), {"masked_lm": logits.sum()})
    )
    total.backward()
    assert total.item() == 0 and parts["masked_lm"].item() == 0 and leaves[1].grad.abs().max() == 0


def test_nothing_is_differentiated_where_nobody_learns():
    with torch.no_grad():
        total, _ = chunks.sum_losses(Undecoded(*tensors()), TEACHER, of_rows)
    assert not total.requires_grad
    whole, _ = of_rows(functional.linear(*tensors()), TEACHER, slice(None))
    assert total.item() == pytest.approx(whole.item(), rel=1e-6)


@pytest.mark.parametrize("count", [600.0, 1e6])
@pytest.mark.parametrize("rows", [5, ROWS])
def test_gradients_that_fp16_cannot_hold_are_there_once_they_are_scaled(monkeypatch, count, rows):
    """A loss scaled for fp16 has the gradients of fp32, however many positions it averages over."""
    scale, found = 65536.0, {}
    monkeypatch.setattr(chunks, "ON_CPU", chunks.Sizes(rows * CLASSES, 2 * CLASSES))
    for dtype in (torch.float32, torch.float16):
        leaves = [(leaf.detach() / 8).to(dtype).requires_grad_() for leaf in tensors()]
        total, _ = chunks.sum_losses(
            Undecoded(*leaves),
            TEACHER / 8,
            lambda logits, theirs, _rows: (losses.soft_target_loss(logits, theirs, 2.0, count), {}),
        )
        (scale * total).backward()
        assert all(leaf.grad.dtype == dtype for leaf in leaves)
        found[dtype] = [leaf.grad.float() for leaf in leaves]
    for exact, half in zip(*found.values(), strict=True):
        assert (exact - half).norm() < 0.01 * exact.norm() and half.norm() > 0
