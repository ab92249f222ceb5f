"""Students: shapes, what they take over, and that a full-depth one says what its teacher says."""

import pytest
import torch

import tiny
from pocketbert.errors import ModelError
from pocketbert.models.projection import accepted_inputs
from pocketbert.models.students import build_student, choose_architecture, choose_layers
from pocketbert.recipe import Student


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A model directory and its model, made once for each family, head and depth."""
    made = {}

    def get(family="bert", head="MaskedLM", layers=4, **fields):
        key = (family, head, layers, *fields)
        if key not in made:
            folder = tmp_path_factory.mktemp("teacher")
            tiny.make_checkpoint(folder, family, head, layers=layers, **fields)
            made[key] = folder, tiny.make_model(family, head, tiny.make_tokenizer(family), layers=layers, **fields)
        return made[key]

    return get


def build(checkpoint, pairs=False, family="bert", head="MaskedLM", **shape):
    """A teacher of four layers, and its student."""
    folder, teacher = checkpoint(family, head)
    return teacher, build_student(teacher, str(folder), Student(**shape), pairs, seed=0)


def logits(model, family, text="the grey cat saw a dog", pair=None):
    encoded = tiny.make_tokenizer(family)(text, pair, return_tensors="pt")
    return model.eval()(**{name: value for name, value in encoded.items() if name in accepted_inputs(model)}).logits


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("head", ["MaskedLM", "SequenceClassification", "TokenClassification"])
def test_a_student_of_full_depth_says_what_its_teacher_says(checkpoint, family, head):
    teacher, student = build(checkpoint, family=family, head=head, architecture=family, layers=4)
    assert torch.allclose(logits(student.model, family), logits(teacher, family), atol=1e-5)
    assert all(line.source != "new" for line in student.carried)


@pytest.mark.parametrize("head", ["MaskedLM", "TokenClassification"])
def test_a_distilbert_of_full_depth_says_what_its_bert_says(checkpoint, head):
    teacher, student = build(checkpoint, head=head, architecture="distilbert", layers=4)
    assert student.model.config.model_type == "distilbert"
    assert logits(teacher, "bert").std() > 0.1
    assert torch.allclose(logits(student.model, "bert"), logits(teacher, "bert"), atol=1e-5)


def test_a_distilbert_classifier_keeps_the_encoder_and_starts_its_head_anew(checkpoint):
    teacher, student = build(checkpoint, head="SequenceClassification", architecture="distilbert", layers=4)
    encoded = tiny.make_tokenizer("bert")("the grey cat", return_tensors="pt")
    theirs = teacher.bert(**encoded).last_hidden_state
    own = student.model.eval().distilbert(encoded["input_ids"], encoded["attention_mask"]).last_hidden_state
    assert torch.allclose(own, theirs, atol=1e-5)
    assert ("head", "new") in {(line.part, line.source) for line in student.carried}


def test_half_of_the_layers_come_from_those_chosen(checkpoint):
    teacher, student = build(checkpoint, architecture="bert", layers=2, init=[3, 1])
    theirs, own = teacher.state_dict(), student.model.state_dict()
    for number, source in enumerate([3, 1]):
        for name in own:
            if f".layer.{number}." in name:
                assert torch.equal(own[name], theirs[name.replace(f".layer.{number}.", f".layer.{source}.")])
    sources = [line.source for line in student.carried if line.part.startswith("layer")]
    assert sources == ["teacher layer 3", "teacher layer 1"]


def test_the_table_counts_every_parameter(checkpoint):
    for shape in ({}, {"hidden_size": 16}, {"init": "none"}, {"feed_forward": 20}):
        _, student = build(checkpoint, **shape)
        assert sum(line.parameters for line in student.carried) == sum(p.numel() for p in student.model.parameters())


def test_half_of_the_layers_is_the_usual_depth(checkpoint):
    _, student = build(checkpoint)
    assert student.model.config.num_hidden_layers == 2


def test_without_init_nothing_is_taken_over(checkpoint):
    teacher, student = build(checkpoint, init="none")
    assert {line.source for line in student.carried} == {"new"}
    theirs = teacher.bert.embeddings.word_embeddings.weight
    assert not torch.equal(student.model.distilbert.embeddings.word_embeddings.weight, theirs)


def test_what_does_not_fit_is_new_and_said_so(checkpoint):
    _, student = build(checkpoint, architecture="bert", layers=4, feed_forward=20)
    sources = {(line.part, line.source) for line in student.carried}
    assert {("layer 0", "teacher layer 0"), ("layer 0", "new (another shape)"), ("embeddings", "teacher")} <= sources
    assert student.model.config.intermediate_size == 20


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_width_heads_and_feed_forward_can_be_chosen(checkpoint, family):
    _, student = build(checkpoint, family=family, hidden_size=16, heads=2, feed_forward=24, layers=1)
    config = student.model.config
    assert (config.hidden_size, config.num_attention_heads, config.num_hidden_layers) == (16, 2, 1)
    assert logits(student.model, family).shape[-1] == len(tiny.make_tokenizer(family))
    shapes = {parameter.shape for parameter in student.model.parameters()}
    assert any(24 in shape for shape in shapes)


def test_seeds_decide_the_new_weights(checkpoint):
    folder, teacher = checkpoint()
    weights = [
        build_student(teacher, str(folder), Student(init="none"), False, seed).model.vocab_transform.weight
        for seed in (0, 0, 1)
    ]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_ties_hold_after_carrying_over(checkpoint):
    for family in tiny.FAMILIES:
        _, student = build(checkpoint, family=family, architecture=family)
        model = student.model
        assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


@pytest.mark.parametrize(("pairs", "family"), [(False, "distilbert"), (True, "bert")])
def test_a_bert_teaches_a_distilbert_unless_texts_come_in_pairs(checkpoint, pairs, family):
    _, student = build(checkpoint, pairs)
    assert student.model.config.model_type == family
    names = student.tokenizer.model_input_names
    assert ("token_type_ids" in names) is (family == "bert")


@pytest.mark.parametrize("family", [family for family in tiny.FAMILIES if family != "bert"])
def test_other_families_teach_their_own(checkpoint, family):
    _, student = build(checkpoint, family=family)
    assert student.model.config.model_type == family


def test_labels_are_the_teachers(checkpoint):
    for architecture in ("bert", "distilbert"):
        _, student = build(checkpoint, head="TokenClassification", architecture=architecture)
        assert list(student.model.config.id2label.values()) == tiny.TAGS
        assert student.model.config.label2id == {name: number for number, name in enumerate(tiny.TAGS)}


def test_the_teacher_is_left_as_it_was(checkpoint):
    folder, teacher = checkpoint()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    config = teacher.config.to_dict()
    build_student(teacher, str(folder), Student(architecture="bert", hidden_size=16, heads=2), False, 0)
    assert teacher.config.to_dict() == config
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


@pytest.mark.parametrize(
    ("init", "teacher", "student", "expected"),
    [
        ("uniform", 12, 6, [0, 2, 4, 7, 9, 11]),
        ("uniform", 12, 4, [0, 4, 7, 11]),
        ("uniform", 6, 6, [0, 1, 2, 3, 4, 5]),
        ("uniform", 6, 1, [0]),
        ("first", 12, 3, [0, 1, 2]),
        ("last", 12, 3, [9, 10, 11]),
        ("distilbert", 12, 6, [0, 2, 4, 7, 9, 11]),
        ([5, 0], 6, 2, [5, 0]),
        ([0, 0, 0], 1, 3, [0, 0, 0]),
        ("none", 2, 12, None),
    ],
)
def test_layers_that_students_start_from(init, teacher, student, expected):
    assert choose_layers(init, teacher, student) == expected


@pytest.mark.parametrize(
    ("init", "teacher", "student", "message"),
    [
        ([0, 1], 4, 3, "give 3 teacher layers between 0 and 3"),
        ([0, 4], 4, 2, "give 2 teacher layers between 0 and 3"),
        ([-1, 0], 4, 2, "give 2 teacher layers between 0 and 3"),
        ("distilbert", 4, 2, "distilbert is for 6 of 12 layers"),
        ("uniform", 2, 3, "a student of 3 layers cannot start from 2 teacher layers; set init: none"),
    ],
)
def test_impossible_starts_are_refused(init, teacher, student, message):
    with pytest.raises(ModelError, match=message):
        choose_layers(init, teacher, student)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_impossible_heads_are_refused(checkpoint, family):
    with pytest.raises(ModelError, match="hidden_size 32 is not a multiple of heads 5"):
        build(checkpoint, family=family, heads=5)


@pytest.mark.parametrize(("family", "wanted"), [("roberta", "distilbert"), ("bert", "roberta"), ("albert", "bert")])
def test_other_architectures_are_refused(checkpoint, family, wanted):
    _, teacher = checkpoint(family)
    with pytest.raises(ModelError, match=f"a {family} teacher has no {wanted} student; student.architecture can be"):
        choose_architecture(teacher.config, wanted, False)


def vectors(model, family, text="the grey cat saw a dog"):
    """The token states of a model without a head."""
    encoded = tiny.make_tokenizer(family)(text, return_tensors="pt")
    return model.eval()(**{name: value for name, value in encoded.items() if name in accepted_inputs(model)})[0]


@pytest.mark.parametrize(
    ("family", "architecture"), [("bert", "distilbert"), *((each, each) for each in tiny.FAMILIES)]
)
def test_a_student_without_a_head_gives_the_vectors_of_its_teacher(checkpoint, family, architecture):
    teacher, student = build(checkpoint, family=family, head="", architecture=architecture, layers=4)
    assert student.model.config.model_type == architecture
    assert torch.allclose(vectors(student.model, family), vectors(teacher, family), atol=1e-5)
    named = {line.part for line in student.carried if line.source != "new"}
    assert named == {"embeddings", *(["shared layers"] if family == "albert" else map("layer {}".format, range(4)))}
    # Stock code has no SqueezeBERT without its pooler.
    assert any("pooler" in name for name in student.model.state_dict()) is (family == "squeezebert")
