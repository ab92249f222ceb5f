"""Comparing the insides of two models: layers, shapes, projections, and the losses by name."""

import golden
import numpy as np
import pytest
import torch

from pocketbert.distill.matching import MATCHES, Comparison, Matching, Models, Shape, Step, pair_layers
from pocketbert.distill.matching.attention import choose_relation_heads
from pocketbert.distill.places import find_places
from pocketbert.errors import PocketBertError
from pocketbert.models.inside import EMBEDDINGS, Attention, Inside, Seen
from pocketbert.recipe import Losses

RANDOM = np.random.default_rng(2)
LENGTHS = [4, 2]
REAL = torch.tensor([[True] * 4, [True, True, False, False]])
STEP = Step(REAL, find_places(REAL), torch.tensor(6.0), torch.tensor(2.0))
PAIRS = [(0, 1), (1, 3)]
HEADS = 2


@pytest.mark.parametrize(
    ("layer_map", "student", "teacher", "pairs"),
    [
        # TinyBERT: the m-th of 4 with the 3 m-th of 12. PKD-Skip: 2, 4, 6, 8, 10, 12 (all counted from 1).
        ("uniform", 4, 12, [(0, 2), (1, 5), (2, 8), (3, 11)]),
        ("uniform", 6, 12, [(0, 1), (1, 3), (2, 5), (3, 7), (4, 9), (5, 11)]),
        ("uniform", 5, 12, [(0, 1), (1, 4), (2, 6), (3, 9), (4, 11)]),
        ("uniform", 3, 3, [(0, 0), (1, 1), (2, 2)]),
        ("last", 3, 12, [(0, 9), (1, 10), (2, 11)]),
        ("top", 3, 12, [(2, 11)]),
        ([(2, 0), (0, 11)], 3, 12, [(2, 0), (0, 11)]),
    ],
)
def test_layers_are_paired_as_published(layer_map, student, teacher, pairs):
    assert pair_layers(layer_map, student, teacher) == pairs


@pytest.mark.parametrize(
    ("layer_map", "message"),
    [
        ([(0, 0), (3, 1)], r"layer_map: \[3, 1\] is no pair of a student's layer, 0 to 2, and a teacher's, 0 to 1"),
        ([(0, 2)], r"layer_map: \[0, 2\] is no pair"),
        ("uniform", "layer_map uniform: a student of 3 layers has more than its teacher, 2; name the pairs"),
        ("last", "layer_map last: a student of 3 layers has more"),
    ],
)
def test_layers_that_are_not_there_are_refused(layer_map, message):
    with pytest.raises(PocketBertError, match=message):
        pair_layers(layer_map, 3, 2)


@pytest.mark.parametrize(
    ("wanted", "widths", "heads"),
    [(None, (768, 768), 48), (None, (384, 768), 48), (None, (312, 768), 24), (12, (384, 768), 12), (None, (7, 9), 1)],
)
def test_relation_heads_divide_both_widths(wanted, widths, heads):
    assert choose_relation_heads(wanted, *widths) == heads


def test_relation_heads_that_do_not_divide_are_refused():
    with pytest.raises(PocketBertError, match=r"relation_heads: 48 does not divide .* 312 and 768; 24 does"):
        choose_relation_heads(48, 312, 768)


def seen(layers, width):
    """A model's inside, all of it."""

    def values():
        return torch.from_numpy(RANDOM.normal(size=(2, 4, width))).float()

    return Seen(
        {layer: values() for layer in range(EMBEDDINGS, layers)},
        {layer: Attention(values(), values(), values()) for layer in range(layers)},
    )


def run(name, width=8, **options):
    """One loss by its name, with its matching and what it looked at."""
    torch.manual_seed(0)
    models = Models(Shape(2, width, HEADS), Shape(4, 8, HEADS))
    matching = Matching(Losses(**{name: 3.0}), models, Comparison(PAIRS, **options))
    student, teacher = seen(2, width), seen(4, 8)
    shown = [
        Seen({layer: whole.states[layer] for layer in wanted.states}, {n: whole.attention[n] for n in wanted.attention})
        for whole, wanted in ((student, matching.student), (teacher, matching.teacher))
    ]
    parts = matching(*shown, STEP)
    assert parts.keys() == {name}
    return parts[name].item(), matching, student, teacher


def real(states):
    return states[REAL].detach().double().numpy()


def test_every_loss_looks_at_no_more_than_it_needs():
    """What was not asked for is not there (see run), so that a look at it would have been an error."""
    looks = {}
    for name in MATCHES:
        _, matching, *_ = run(name)
        looks[name] = (matching.student, matching.teacher)
    last = (Inside(states=frozenset({1})), Inside(states=frozenset({3})))
    assert looks["cosine"] == looks["contrastive"] == looks["similarities"] == looks["representations"] == last
    assert looks["hidden"] == looks["feature_maps"]
    assert looks["hidden"] == (Inside(states=frozenset({0, 1})), Inside(states=frozenset({1, 3})))
    assert looks["embeddings"] == (Inside(states=frozenset({EMBEDDINGS})),) * 2
    # The last layer's first token is left to the logits.
    assert looks["patience"] == (Inside(states=frozenset({0})), Inside(states=frozenset({1})))
    attention = (Inside(attention=frozenset({0, 1})), Inside(attention=frozenset({1, 3})))
    assert all(
        looks[name] == attention for name in ("attention_scores", "attention_maps", "relations", "value_relations")
    )


def test_states_of_pairs_are_averaged():
    for name in ("hidden", "feature_maps"):
        found, _, student, teacher = run(name)
        errors = [golden.squared_error(real(student.states[a]), real(teacher.states[b])) for a, b in PAIRS]
        assert found == pytest.approx(np.mean(errors), rel=1e-5)


def test_last_states_embeddings_and_first_tokens():
    found, _, student, teacher = run("cosine")
    assert found == pytest.approx(golden.cosine_distance(real(student.states[1]), real(teacher.states[3])), rel=1e-5)
    found, _, student, teacher = run("embeddings")
    expected = golden.squared_error(real(student.states[EMBEDDINGS]), real(teacher.states[EMBEDDINGS]))
    assert found == pytest.approx(expected, rel=1e-5)
    found, _, student, teacher = run("patience")
    first = [whole.states[layer][:, 0].double().numpy() for whole, layer in ((student, 0), (teacher, 1))]
    assert found == pytest.approx(golden.patience(*first), rel=1e-5)


@pytest.mark.parametrize(("name", "width"), [("contrastive", 8), ("similarities", 8), ("similarities", 12)])
def test_texts_are_compared_by_the_means_of_their_real_tokens(name, width):
    found, _, student, teacher = run(name, width=width, contrastive_temperature=0.5)
    vectors = [
        np.stack([whole.states[layer][row, :length].mean(dim=0).double().numpy() for row, length in enumerate(LENGTHS)])
        for whole, layer in ((student, 1), (teacher, 3))
    ]
    assert found == pytest.approx(getattr(golden, name)(*vectors, 0.5), rel=1e-4)


def of_attention(of_sequence, student, teacher, pick, heads):
    """The mean over pairs, sequences, heads and queries."""
    found = []
    for own, theirs in PAIRS:
        for row, length in enumerate(LENGTHS):
            sequences = [
                golden.scores(*[part[row, :length].double().numpy() for part in pick(whole.attention[layer])], heads)
                for whole, layer in ((student, own), (teacher, theirs))
            ]
            found += of_sequence(*sequences)
    return np.mean(found)


def test_attention_of_pairs_is_averaged():
    cases = {"attention_scores": golden.score_error, "attention_maps": golden.map_divergence}
    for name, formula in cases.items():
        found, _, student, teacher = run(name)
        expected = of_attention(formula, student, teacher, lambda a: (a.queries, a.keys), HEADS)
        assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("width", "heads"), [(8, 8), (12, 4)])
def test_relations_are_the_sum_of_queries_keys_and_values(width, heads):
    found, _, student, teacher = run("relations", width)
    expected = sum(
        of_attention(golden.map_divergence, student, teacher, lambda a, part=part: (a[part], a[part]), heads)
        for part in range(3)
    )
    assert found == pytest.approx(expected, rel=1e-4)


def test_value_relations_are_in_the_heads_of_the_models():
    for width, options, heads in ((8, {}, HEADS), (8, {"relation_heads": 4}, 4), (12, {}, HEADS)):
        found, _, student, teacher = run("value_relations", width, **options)
        expected = of_attention(golden.map_divergence, student, teacher, lambda a: (a.values, a.values), heads)
        assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["hidden", "embeddings", "representations"])
def test_a_projection_brings_the_students_width_to_the_teachers(name):
    found, matching, student, teacher = run(name, width=12)
    weights = {key.rsplit(".", 1)[1]: value.double().numpy() for key, value in matching.state_dict().items()}
    assert weights["weight"].shape == (8, 12)
    pairs = {"hidden": PAIRS, "embeddings": [(EMBEDDINGS, EMBEDDINGS)], "representations": [(1, 3)]}[name]
    errors = []
    for own, theirs in pairs:
        projected = real(student.states[own]) @ weights["weight"].T + weights["bias"]
        if name == "representations":
            projected = torch.nn.functional.gelu(torch.from_numpy(projected)).numpy()
        errors.append(golden.squared_error(projected, real(teacher.states[theirs])))
    assert found == pytest.approx(np.mean(errors), rel=1e-4)


def test_models_of_one_width_need_no_projection_but_that_of_representations():
    with_weights = [name for name in MATCHES if list(run(name)[1].parameters())]
    assert with_weights == ["representations"]


@pytest.mark.parametrize(
    ("name", "student", "message"),
    [
        ("cosine", Shape(2, 12, 2), "losses.cosine compares models with the same hidden width, but the student has 12 "
         r"and the teacher 8; losses\.relations compares any: docs/losses/README\.md"),
        ("patience", Shape(2, 12, 2), "losses.patience compares models with the same hidden width"),
        ("contrastive", Shape(2, 12, 2), r"losses.contrastive compares models with the same hidden width.*; "
         r"losses\.similarities compares any"),
        ("feature_maps", Shape(2, 12, 2), r"losses.feature_maps .*; losses\.hidden compares any"),
        ("attention_scores", Shape(2, 8, 4), "same number of heads, but the student has 4 and the teacher 2; "
         r"losses\.relations compares any"),
        ("attention_maps", Shape(2, 8, 4), "losses.attention_maps compares models with the same number of heads"),
    ],
)  # fmt: skip
def test_shapes_that_cannot_be_compared_are_refused(name, student, message):
    with pytest.raises(PocketBertError, match=message):
        Matching(Losses(**{name: 1.0}), Models(student, Shape(4, 8, 2)), Comparison(PAIRS))


def test_nothing_of_weight_is_no_matching():
    models = Models(Shape(2, 8, 2), Shape(4, 8, 2))
    assert Matching.of(Losses(labels=1.0), models, Comparison(PAIRS)) is None
    assert Matching.of(Losses(cosine=1.0), models, Comparison(PAIRS)) is not None
