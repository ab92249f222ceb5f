"""Six families of teachers, three kinds of heads: distilled by the command line, loaded by stock transformers."""

import json
import subprocess
import sys
import tempfile

import pytest

import tiny

HEADS = {
    "masked_lm": "MaskedLM",
    "classification": "SequenceClassification",
    "token_classification": "TokenClassification",
}
STOCK = """
import json, sys
sys.modules["pocketbert"] = None
import torch, transformers
for line in sys.stdin:
    folder, head = json.loads(line)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model, report = getattr(transformers, "AutoModelFor" + head).from_pretrained(folder, output_loading_info=True)
    batch = tokenizer("the grey cat", "near the barn", return_tensors="pt")
    words = tokenizer(["the", "cat"], is_split_into_words=True) if head == "TokenClassification" else None
    print(json.dumps({
        "inputs": sorted(batch), "shape": list(model(**batch).logits.shape), "tokens": batch["input_ids"].shape[1],
        "finite": bool(torch.isfinite(model(**batch).logits).all()), "labels": list(model.config.id2label.values()),
        "family": model.config.model_type, "layers": model.config.num_hidden_layers,
        "missing": sorted(report["missing_keys"]), "unexpected": sorted(report["unexpected_keys"]),
        "words": words and words.word_ids(), "remote": hasattr(model.config, "auto_map"),
    }), flush=True)
"""


@pytest.fixture(scope="module")
def stock():
    """Load a model directory in a process that cannot import PocketBERT."""
    # A file takes whatever a version of transformers reports, where a pipe that nobody reads would fill up.
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", STOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        )

        def load(folder, head):
            process.stdin.write(json.dumps([str(folder), head]) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer, said.seek(0) or said.read()
            return json.loads(answer)

        yield load
        process.stdin.close()
        process.wait(timeout=30)


def rows(tmp_path, task):
    """The flags that name rows or text."""
    if task == "masked_lm":
        return ["--corpus", tiny.write_text(tmp_path / "text.txt", 30), "--block", 16]
    if task == "classification":
        return ["--task", task, "--train", tiny.write_reviews(tmp_path / "train.csv", 40), "--max-length", 32]
    return ["--task", task, "--train", tiny.write_tags(tmp_path / "train.jsonl", 40), "--max-length", 32]


SHORT = ("--steps", 2, "--batch-size", 4, "--precision", "fp32")


@pytest.mark.parametrize("task", HEADS)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_family_is_distilled_and_loads_in_stock_transformers(tmp_path, cli, stock, family, task):
    teacher = tiny.make_checkpoint(tmp_path / "teacher", family, HEADS[task])
    output = tmp_path / "student"
    done = cli("distill", teacher, *rows(tmp_path, task), *SHORT, "--output", output)
    assert done.code == 0, done.err
    assert f"{output}: made by distill" in done.out
    found = stock(output, HEADS[task])
    assert found["family"] == ("distilbert" if family == "bert" else family) and found["layers"] == 1
    assert found["missing"] == found["unexpected"] == [] and found["finite"] and not found["remote"]
    last = {"masked_lm": len(tiny.make_tokenizer(family)), "classification": 2, "token_classification": len(tiny.TAGS)}
    assert found["shape"] == ([1, 2] if task == "classification" else [1, found["tokens"], last[task]])
    if task != "masked_lm":
        assert sorted(found["labels"]) == sorted(tiny.LABELS if task == "classification" else tiny.TAGS)
    if task == "token_classification":
        assert found["words"][0] is None and 0 in found["words"] and 1 in found["words"]
    assert not [path for path in output.rglob("*") if path.suffix in (".bin", ".pt", ".pth", ".py")]


@pytest.mark.parametrize(
    ("family", "architecture", "types"),
    [("bert", "auto", True), ("bert", "distilbert", False), ("electra", "auto", True), ("squeezebert", "auto", True),
     ("roberta", "auto", False)],
)  # fmt: skip
def test_pairs_keep_the_token_types_that_the_student_can_take(tmp_path, cli, stock, family, architecture, types):
    teacher = tiny.make_checkpoint(tmp_path / "teacher", family, "SequenceClassification")
    train = tiny.write_reviews(tmp_path / "train.csv", 40, pairs=True)
    data = ("--task", "classification", "--train", train, "--max-length", 40)
    done = cli("distill", teacher, *data, *SHORT, "--architecture", architecture, "--output", tmp_path / "student")
    assert done.code == 0, done.err
    assert "pair='pair'" in done.err
    found = stock(tmp_path / "student", "SequenceClassification")
    assert ("token_type_ids" in found["inputs"]) is types


def test_the_first_weights_are_printed_as_a_table(tmp_path, cli):
    teacher = tiny.make_checkpoint(tmp_path / "teacher", layers=4)
    done = cli("distill", teacher, *rows(tmp_path, "masked_lm"), *SHORT, "--output", tmp_path / "student")
    assert "The student's first weights" in done.err
    lines = [line.replace(" ", "") for line in done.err.splitlines()]
    assert any("layer0│teacherlayer0" in line for line in lines) and any(
        "layer1│teacherlayer3" in line for line in lines
    )
