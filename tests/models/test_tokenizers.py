"""WordPiece from text and from vocab.txt."""

import subprocess
import sys

import pytest

import tiny
from pocketbert.errors import PocketBertError
from pocketbert.models.tokenizers import SPECIAL, read_tokenizer, train_wordpiece


def texts():
    """The same documents at each call."""
    return iter(["The Übung of the grey cat", "the cats were greying", "THE END"] * 20)


def test_a_learnt_vocabulary_has_its_size_and_special_tokens():
    tokenizer = train_wordpiece(texts, 101, lowercase=True, positions=64)
    assert len(tokenizer) <= 101
    assert tokenizer.convert_ids_to_tokens([0, 1, 2, 3, 4]) == SPECIAL
    assert tokenizer.model_max_length == 64
    assert tokenizer("grey cat")["input_ids"][0] == tokenizer.cls_token_id
    assert "token_type_ids" in tokenizer("the cat", "the end")


def test_case_is_folded_on_request():
    folded = train_wordpiece(texts, 200, lowercase=True, positions=64)
    assert folded.tokenize("THE ÜBUNG") == folded.tokenize("the ubung")
    kept = train_wordpiece(texts, 200, lowercase=False, positions=64)
    assert kept.tokenize("The") != kept.tokenize("the")


LEARN = """
import hashlib, random, string
from pocketbert.models.tokenizers import train_wordpiece
random_ = random.Random(0)
texts = ["".join(random_.choice(string.ascii_letters + " éüЯ中.,!") for _ in range(200)) for _ in range(100)]
vocabulary = train_wordpiece(lambda: texts, 300, True, 64).get_vocab()
print(hashlib.sha256(repr(sorted(vocabulary.items())).encode()).hexdigest())
"""


def test_the_same_texts_give_the_same_vocabulary_in_every_process(capsys):
    """Pairs of equal count abound here, and the order of a hash table differs from process to process."""
    other = subprocess.run([sys.executable, "-c", LEARN], capture_output=True, text=True, check=True, timeout=120)
    exec(LEARN, {})
    assert capsys.readouterr().out == other.stdout


def test_the_alphabet_is_the_most_frequent_characters():
    rare = ["zzz yyy", "x"]
    tokenizer = train_wordpiece(lambda: iter([*texts(), *rare]), 120, lowercase=True, positions=64)
    letters = {piece for piece in tokenizer.get_vocab() if len(piece) == 1}
    # An eighth of 120; of seven letters that come 20 times, the first five by alphabet.
    assert letters == set("ethgnruyca" + "bdfio")
    assert tokenizer.tokenize("x") == ["[UNK]"]


@pytest.mark.parametrize("lowercase", [True, False])
def test_a_learnt_tokenizer_survives_saving(tmp_path, lowercase):
    tokenizer = train_wordpiece(texts, 200, lowercase, positions=64)
    tokenizer.save_pretrained(tmp_path)
    again = read_tokenizer(str(tmp_path), lowercase=True, positions=8)
    text = "The Übung of greying cats"
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert again.model_max_length == 64


def test_a_published_vocabulary_is_read(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join([*SPECIAL, "grey", "cat", "##s"]) + "\n")
    tokenizer = read_tokenizer(str(path), lowercase=True, positions=32)
    assert tokenizer("Grey cats")["input_ids"] == [2, 5, 6, 7, 3]
    assert tokenizer.mask_token_id == 4 and tokenizer.model_max_length == 32


def test_what_is_no_vocabulary_is_refused(tmp_path):
    path = tiny.write_text(tmp_path / "vocab.txt", 3)
    with pytest.raises(PocketBertError, match="not a BERT vocabulary, it lacks"):
        read_tokenizer(str(path), True, 32)
    with pytest.raises(PocketBertError, match=r"no such tokenizer; name a model directory or a vocab.txt"):
        read_tokenizer(str(tmp_path / "nothing"), True, 32)
