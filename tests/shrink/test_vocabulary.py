"""The stage: a smaller model directory that answers as before."""

import csv
import io
import json
import shutil

import pytest
import torch
import transformers
from rich.console import Console

import tiny
from pocketbert.errors import DataError, ModelError, PocketBertError
from pocketbert.manifest import read_manifest
from pocketbert.recipe import Data, TrimStage
from pocketbert.recipe.loading import parse_section
from pocketbert.shrink import vocabulary
from pocketbert.shrink.vocabulary import trim

QUIET = Console(quiet=True)
SEEN = {"least": 1}
"""Just the pieces that occur: the vocabularies here are too small to lose others."""


def rows(tmp_path, **fields):
    return Data(**{
        "task": "classification",
        "train": [str(tiny.write_reviews(tmp_path / "train.csv", 40))],
        "max_length": 32,
    } | fields)  # fmt: skip


def run(tmp_path, data=None, family="bert", head="SequenceClassification", **options):
    """Trim a tiny model; where it was, where it is now, and the manifest."""
    model = tmp_path / "model"
    if not model.exists():
        tiny.make_checkpoint(model, family, head)
    manifest = trim(TrimStage(**{**SEEN, **options}), str(model), tmp_path / "small", data, console=QUIET, replace=True)
    return model, tmp_path / "small", manifest


def stock(folder, head):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model, report = getattr(transformers, f"AutoModelFor{head}").from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    return tokenizer, model.eval()


def logits(loaded, *texts, **options):
    tokenizer, model = loaded
    with torch.no_grad():
        output = model(**tokenizer(*texts, padding=True, return_tensors="pt", **options))
    return output["logits"] if "logits" in output else torch.stack([output["start_logits"], output["end_logits"]])


def pieces(folder):
    return set(transformers.AutoTokenizer.from_pretrained(folder).get_vocab())


def write_rows(path, *texts):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "label"], *([text, tiny.LABELS[n % 2]] for n, text in enumerate(texts))])
    return [str(path)]


@pytest.mark.parametrize("head", ["SequenceClassification", "MaskedLM"])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_family_answers_the_texts_it_was_trimmed_on_as_before(tmp_path, family, head):
    texts = ["the dog saw the owl", "fine dog", "an owl", "dull dog near the dog"] * 5
    model, small, manifest = run(
        tmp_path, rows(tmp_path, train=write_rows(tmp_path / "few.csv", *texts)), family, head, characters=False
    )
    before, after = stock(model, head), stock(small, head)
    assert len(after[0]) < len(before[0]) and after[1].config.vocab_size == len(after[0])
    assert [after[0].tokenize(text) for text in texts] == [before[0].tokenize(text) for text in texts]
    one, other = logits(before, texts), logits(after, texts)
    if head == "MaskedLM":
        one = one[..., before[0].convert_tokens_to_ids(after[0].convert_ids_to_tokens(range(len(after[0]))))]
    assert (one - other).abs().max() < 1e-6
    assert manifest.metrics["pieces"] == {"before": len(before[0]), "after": len(after[0])}
    weights = [(folder / "model.safetensors").stat().st_size for folder in (model, small)]
    assert manifest.metrics["bytes"] == {"before": weights[0], "after": weights[1]} and weights[1] < weights[0]
    count = {parameter.data_ptr(): parameter.numel() for parameter in after[1].parameters()}
    assert manifest.metrics["parameters"]["after"] == sum(count.values())
    assert sorted(path.name for path in small.iterdir()) == [
        "config.json", "manifest.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"
    ]  # fmt: skip


@pytest.mark.parametrize("family", ["bert", "roberta", "albert"])
def test_words_of_a_list_are_read_as_the_task_reads_them(tmp_path, family):
    train = tiny.write_tags(tmp_path / "train.jsonl", 40)
    data = Data(task="token_classification", train=[str(train)], max_length=32)
    model, small, manifest = run(tmp_path, data, family, "TokenClassification", characters=False)
    found = manifest.metrics["coverage"]["training rows"]
    assert found["unchanged"] == 1 and found["words"] > found["texts"]
    before, after = stock(model, "TokenClassification"), stock(small, "TokenClassification")
    if family == "roberta":
        assert after[0].add_prefix_space
        before[0].add_prefix_space = before[0].backend_tokenizer.pre_tokenizer.add_prefix_space = True
        before[0].backend_tokenizer.post_processor.add_prefix_space = True
    texts = [json.loads(line)["tokens"] for line in train.read_text().splitlines()]
    one, other = (logits(each, texts, is_split_into_words=True) for each in (before, after))
    assert (one - other).abs().max() < 1e-6


def test_pairs_and_contexts_are_read(tmp_path):
    path, answers = tmp_path / "train.jsonl", {"text": ["owl"], "answer_start": [7]}
    contexts = [f"a grey owl saw a {animal}" for animal in tiny.ANIMALS * 4]
    lines = [{"question": "near the barn", "context": context, "answers": answers} for context in contexts]
    path.write_text("\n".join(map(json.dumps, lines)))
    data = Data(task="question_answering", train=[str(path)], max_length=32, stride=4)
    model, small, _ = run(tmp_path, data, "bert", "QuestionAnswering", characters=False)
    assert {"near", "owl", "horse"} <= pieces(small) and "lovely" not in pieces(small)
    texts = [line["question"] for line in lines], contexts
    before, after = stock(model, "QuestionAnswering"), stock(small, "QuestionAnswering")
    assert (logits(before, *texts) - logits(after, *texts)).abs().max() < 1e-6


def test_neither_validation_nor_test_rows_choose_a_piece(tmp_path):
    train = write_rows(tmp_path / "a.csv", *["the dog", "dog"] * 2)
    data = rows(
        tmp_path,
        train=train,
        validation=write_rows(tmp_path / "b.csv", "the horse", "dog"),
        test=write_rows(tmp_path / "c.csv", "an owl", "the cat"),
    )
    _, small, manifest = run(tmp_path, data)
    words = {piece for piece in pieces(small) if len(piece.removeprefix("##")) > 1}
    assert words == {"the", "dog", "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    coverage = manifest.metrics["coverage"]
    assert list(coverage) == ["training rows", "validation rows"]
    assert coverage["validation rows"]["unchanged"] == 0.5
    assert coverage["validation rows"]["pieces_per_word"] == {"before": 1.0, "after": 7 / 3}
    # Other test rows change nothing, so there is nothing to do.
    write_rows(tmp_path / "c.csv", "a cat", "the cat")
    assert run(tmp_path, data)[2].created == manifest.created


def test_a_corpus_is_read_too_and_a_safety_list_stays(tmp_path):
    for name, text in {"corpus": "very warm\n\nfine", "keep": "lovely owl", "check": "the cat\n\nwolf ☃ zoo"}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    sources = {name: [str(tmp_path / f"{name}.txt")] for name in ("corpus", "keep", "check")}
    _, small, manifest = run(tmp_path, None, "bert", "MaskedLM", **sources)
    assert {"very", "fine", "owl", "lovely"} <= pieces(small) and not {"cat", "the"} & pieces(small)
    coverage = manifest.metrics["coverage"]
    assert coverage["corpus"]["texts"] == 2 and coverage["corpus"]["unchanged"] == 1
    check = coverage[sources["check"][0]]
    assert check["unchanged"] == 0.5 and check["unknown_rate"] == {"before": 1 / 5, "after": 1 / 5}
    assert [note for note in manifest.notes if note.startswith(sources["check"][0]) and "50.0% of the texts" in note]
    assert set(manifest.data) == set(sources) and manifest.stage == "trim" and manifest.options["keep"]


AFTER_DOG = {"horse", "owl", "fine", "lovely", "dull"}
AFTER_NEAR = {"very", "and", "was", "in", "it", "unlike", "cat", *AFTER_DOG}


@pytest.mark.parametrize(
    ("changed", "gone", "expected"),
    [
        (None, set(), 0),
        (0.09, set(), 0),
        (0.1, AFTER_DOG, 0.1),
        (0.2, AFTER_NEAR, 0.2),
        (1.0, {"saw", *AFTER_NEAR}, 0.3),
    ],
)
def test_common_pieces_stay_until_the_texts_to_come_are_safe(tmp_path, changed, gone, expected):
    """Three of ten texts have a word that is in no other: near, dog and broken, in the vocabulary's order."""
    texts = ["the a"] * 7 + ["the near", "the dog", "the broken"]
    (tmp_path / "mine.txt").write_text("\n\n".join(texts))
    model, small, manifest = run(
        tmp_path, None, "bert", "MaskedLM", corpus=[str(tmp_path / "mine.txt")], least=None, changed=changed
    )
    assert pieces(model) - pieces(small) == gone
    assert manifest.metrics["expected_changed"] == expected


def test_rare_pieces_go_on_request(tmp_path):
    texts = ["the dog and the cat", "the dog", "a dog"]
    (tmp_path / "mine.txt").write_text("\n\n".join(texts))
    _, small, manifest = run(tmp_path, None, "bert", "MaskedLM", corpus=[str(tmp_path / "mine.txt")], least=2)
    assert {"the", "dog"} <= pieces(small) and not {"and", "cat"} & pieces(small)
    assert manifest.metrics["expected_changed"] is None
    assert manifest.metrics["coverage"]["corpus"]["unchanged"] == pytest.approx(2 / 3)


def test_without_characters_only_what_occurs_stays(tmp_path):
    (tmp_path / "mine.txt").write_text("the dog")
    _, small, manifest = run(
        tmp_path, None, "bert", "MaskedLM", corpus=[str(tmp_path / "mine.txt")], characters=False,
        check=[str(tmp_path / "mine.txt")],
    )  # fmt: skip
    assert pieces(small) == {"the", "dog", "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    assert manifest.notes == []


def test_the_padding_that_positions_are_counted_from_keeps_its_number(tmp_path):
    """RoBERTa's first position is one behind it: with another number, all would shift."""
    (tmp_path / "mine.txt").write_text("the dog")
    pieces_in_order = ["was", "unlike", "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "near", "the", "dog"]
    tokenizer = transformers.BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces_in_order)})
    model = tiny.make_model("roberta", "MaskedLM", tokenizer)
    assert model.config.pad_token_id == 2
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    model, small, _ = run(tmp_path, None, corpus=[str(tmp_path / "mine.txt")], characters=False)
    before, after = stock(model, "MaskedLM"), stock(small, "MaskedLM")
    assert pieces(model) - pieces(small) == {"near"} and after[1].config.pad_token_id == 2
    one, other = (logits(each, ["the dog", "dog"], return_token_type_ids=False) for each in (before, after))
    assert (one[..., [*range(7), 8, 9]] - other).abs().max() < 1e-6


def test_embeddings_are_narrowed_on_request(tmp_path):
    data = rows(tmp_path)
    _, small, manifest = run(tmp_path, data, "albert", embedding_size=6)
    assert stock(small, "SequenceClassification")[1].config.embedding_size == 6
    assert manifest.metrics["embedding_size"] == {"before": 16, "after": 6}
    assert 0.3 < manifest.metrics["embedding_variance_kept"] < 1
    assert any(note.startswith("embeddings narrowed from 16 to 6 dimensions") for note in manifest.notes)


def test_embeddings_that_cannot_be_narrowed_are_refused_before_anything_is_read(tmp_path):
    with pytest.raises(ModelError, match="a bert model has embeddings as wide as its layers"):
        run(tmp_path, rows(tmp_path), embedding_size=8)
    assert not (tmp_path / "small").exists()


def test_the_same_inputs_are_not_trimmed_again(tmp_path):
    data = rows(tmp_path)
    model, small, first = run(tmp_path, data)
    stamp = (small / "model.safetensors").stat().st_mtime_ns
    assert run(tmp_path, data)[2] == first == read_manifest(small)
    assert (small / "model.safetensors").stat().st_mtime_ns == stamp
    with pytest.raises(PocketBertError, match="holds a model made from other inputs or options"):
        trim(TrimStage(characters=False), str(model), small, data, console=QUIET)
    assert run(tmp_path, data, characters=False)[2].key != first.key


def test_a_killed_run_can_be_run_again(tmp_path, monkeypatch):
    data = rows(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(vocabulary, "compare_readings", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, data)
    assert [path.name for path in (tmp_path / "small").iterdir()] == ["work"]
    _, small, manifest = run(tmp_path, data)
    shutil.rmtree(small)
    assert run(tmp_path, data)[2].metrics == manifest.metrics


def test_a_few_texts_cannot_tell_what_others_need(tmp_path):
    """Lines without a blank one between them are one text."""
    (tmp_path / "mine.txt").write_text("the cat\n" * 200)
    _, _, manifest = run(tmp_path, None, "bert", "MaskedLM", corpus=[str(tmp_path / "mine.txt")], least=None)
    assert any(note.startswith("1 text of the domain: too few to tell") for note in manifest.notes)


def test_a_tokenizer_that_reads_otherwise_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    def wrong(tree, numbers):
        tree = cut(tree, numbers)
        del tree["model"]["merges"][1:]
        return tree

    cut = vocabulary.cut_pieces
    monkeypatch.setattr(vocabulary, "cut_pieces", wrong)
    with pytest.raises(
        ModelError, match=r"model: trim: this tokenizer cannot be trimmed: .* would read '.+' in others"
    ):
        run(tmp_path, rows(tmp_path), "roberta")
    assert not (tmp_path / "small").exists()


def test_what_names_no_text_is_refused(tmp_path):
    with pytest.raises(
        PocketBertError, match=r"trim: name the rows of a task \(data\) or text of the domain \(corpus\)"
    ):
        run(tmp_path)
    (tmp_path / "empty.txt").write_text(" \n")
    with pytest.raises(DataError, match="corpus: no text to read"):
        run(tmp_path, corpus=[str(tmp_path / "empty.txt")])
    with pytest.raises(DataError, match="no such file"):
        run(tmp_path, corpus=[str(tmp_path / "nothing.txt")])
    assert not (tmp_path / "small").exists()


def test_a_share_and_a_count_are_not_both_named():
    with pytest.raises(PocketBertError, match="name one of changed and least"):
        parse_section(TrimStage, {"changed": 0.1, "least": 2}, "recipe.yaml")


def test_the_tables_are_printed(tmp_path):
    tiny.make_checkpoint(tmp_path / "model", head="SequenceClassification")
    out = io.StringIO()
    manifest = trim(
        TrimStage(least=1, characters=False), str(tmp_path / "model"), tmp_path / "small", rows(tmp_path),
        console=Console(file=out, width=120),
    )  # fmt: skip
    lines = [line.replace(" ", "") for line in out.getvalue().splitlines()]
    before, after = manifest.metrics["pieces"].values()
    assert f"│pieces│{before}│{after}│{before - after},{1 - after / before:.1%}│" in lines
    assert any(line.startswith("│trainingrows│32│100.0%│") for line in lines)
    assert any("rows:32train" in line for line in lines) and "reading texts" not in out.getvalue()


def test_real_vocabularies_of_all_kinds(tmp_path, shared_data):
    """A published vocabulary of each kind, on real text with all that it brings."""
    folder = shared_data / "vocab"
    tokenizers = {
        "bert": transformers.BertTokenizer(str(folder / "bert-base-uncased-vocab.txt")),
        "roberta": transformers.RobertaTokenizer(str(folder / "roberta-vocab.json"), str(folder / "gpt2-merges.txt")),
        "albert": transformers.AlbertTokenizer.from_pretrained(albert(tmp_path, folder)),
    }
    lines = (shared_data / "ag_news" / "train.jsonl").read_text(encoding="utf-8").splitlines()[:300]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for family, tokenizer in tokenizers.items():
        tiny.make_model(family, "MaskedLM", tokenizer).save_pretrained(tmp_path / family)
        tokenizer.save_pretrained(tmp_path / family)
        options = TrimStage(corpus=[str(tmp_path / "mine.jsonl")], text_column="text", **SEEN)
        manifest = trim(options, str(tmp_path / family), tmp_path / f"{family}-small", console=QUIET)
        assert manifest.metrics["coverage"]["corpus"]["unchanged"] == 1
        small = transformers.AutoTokenizer.from_pretrained(tmp_path / f"{family}-small")
        assert 1000 < len(small) < len(tokenizer) / 2
        texts = [json.loads(line)["text"] for line in lines]
        assert [small.tokenize(text) for text in texts[:50]] == [tokenizer.tokenize(text) for text in texts[:50]]


def albert(tmp_path, folder):
    (tmp_path / "spm").mkdir()
    shutil.copy(folder / "albert-spiece.model", tmp_path / "spm" / "spiece.model")
    return tmp_path / "spm"
