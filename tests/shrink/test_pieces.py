"""Tokenizers with fewer pieces, on vocabularies small enough to follow by hand, and on learnt ones."""

import json
import random

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors, trainers

from pocketbert.errors import ModelError
from pocketbert.shrink.pieces import choose_pieces, cut_pieces


def trimmed(tokenizer, texts, characters=False, needed=()):
    """A tokenizer with the pieces that some texts need."""
    tree = json.loads(tokenizer.to_str())
    used = {number for text in texts for number in tokenizer.encode(text).ids}
    kept = choose_pieces(tree, used | set(needed), characters)
    return Tokenizer.from_str(json.dumps(cut_pieces(tree, {old: new for new, old in enumerate(kept)})))


def wordpiece(*pieces):
    tokenizer = Tokenizer(
        models.WordPiece({piece: number for number, piece in enumerate(["[UNK]", *pieces])}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def bpe(letters, merges, **options):
    vocabulary = {piece: number for number, piece in enumerate([*letters, *("".join(merge) for merge in merges)])}
    return Tokenizer(models.BPE(vocabulary, merges, **options))


def pieces_of(tokenizer):
    return sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)


def test_wordpiece_keeps_what_the_text_needs_in_the_old_order():
    tokenizer = wordpiece("a", "##b", "cat", "##s", "dog", "##gy", "[CLS]")
    small = trimmed(tokenizer, ["cats dog"])
    assert pieces_of(small) == ["[UNK]", "cat", "##s", "dog"]
    assert small.encode("cats dog").tokens == ["cat", "##s", "dog"] and small.encode("cats dog").ids == [1, 2, 3]
    assert small.encode("ab doggy").tokens == ["[UNK]", "[UNK]"]


def test_with_characters_any_word_can_still_be_spelt():
    tokenizer = wordpiece("a", "b", "##a", "##b", "##ab", "abba", "aaa")
    small = trimmed(tokenizer, ["aaa"], characters=True)
    assert pieces_of(small) == ["[UNK]", "a", "b", "##a", "##b", "aaa"]
    assert small.encode("abba").tokens == ["a", "##b", "##b", "##a"]


def test_a_piece_with_a_character_that_has_none_of_its_own_stays():
    tokenizer = wordpiece("a", "##a", "b", "##ab", "ba", "aa")  # nothing else spells a b inside a word
    small = trimmed(tokenizer, [], characters=True)
    assert pieces_of(small) == ["[UNK]", "a", "##a", "b", "##ab"]
    assert small.encode("bab").tokens == ["b", "##ab"]


def test_a_merge_stays_with_all_that_lie_on_its_way():
    merges = [("l", "o"), ("lo", "w"), ("e", "r"), ("low", "er"), ("o", "w"), ("n", "ow")]
    small = trimmed(bpe("lowern", merges), ["lower"])
    assert pieces_of(small) == ["l", "o", "w", "e", "r", "n", "lo", "low", "er", "lower"]  # no ow, no now
    assert json.loads(small.to_str())["model"]["merges"] == [["l", "o"], ["lo", "w"], ["e", "r"], ["low", "er"]]
    assert small.encode("lower").tokens == ["lower"]
    assert small.encode("now").tokens == ["n", "o", "w"]


def test_bpe_that_knows_the_unknown_may_lose_characters_and_others_may_not():
    merges = [("a", "b")]
    known = bpe(["a", "b", "c", "?"], merges, unk_token="?")
    assert pieces_of(trimmed(known, ["ab"])) == ["a", "b", "?", "ab"]
    assert trimmed(known, ["ab"]).encode("abc").tokens == ["ab", "?"]
    assert trimmed(bpe(["a", "b", "c"], merges), ["ab"]).encode("abc").tokens == ["ab", "c"]


def test_bpe_with_marks_inside_and_at_the_end_of_words():
    vocabulary = ["a", "##b", "##c</w>", "x", "ab", "abc</w>"]
    tokenizer = Tokenizer(
        models.BPE(
            {piece: number for number, piece in enumerate(vocabulary)},
            [("a", "##b"), ("ab", "##c</w>")],
            continuing_subword_prefix="##",
            end_of_word_suffix="</w>",
        )
    )
    assert tokenizer.encode("abc").tokens == ["abc</w>"]
    small = trimmed(tokenizer, ["abc"], characters=True)
    assert small.encode("abc").tokens == ["abc</w>"] and pieces_of(small) == vocabulary


def unigram(*entries, unknown=0):
    return Tokenizer(models.Unigram(list(entries), unk_id=unknown))


def test_unigram_keeps_the_likeliest_path():
    tokenizer = unigram(("<unk>", 0.0), ("a", -3.0), ("b", -3.0), ("ab", -4.0), ("ba", -9.0), ("bab", -12.0))
    small = trimmed(tokenizer, ["abab"])
    assert pieces_of(small) == ["<unk>", "ab", "bab"]  # bab is the least likely one
    assert small.encode("abab").tokens == ["ab", "ab"]


def test_unigram_keeps_the_piece_that_prices_the_unknown():
    """An unknown character costs ten more than the least likely piece."""
    entries = [("<unk>", 0.0), ("a", -20.0), ("b", -20.0), ("ab", -1.0), ("bz", -25.0)]
    assert unigram(*entries).encode("abz").tokens == ["ab", "z"]
    tokenizer = unigram(*entries, ("y", -60.0))
    assert tokenizer.encode("abz").tokens == ["a", "bz"]
    assert trimmed(tokenizer, ["abz"]).encode("abz").tokens == ["a", "bz"]


def test_the_number_of_a_unigrams_unknown_piece_stays():
    tokenizer = unigram(("x", -1.0), ("y", -1.0), ("<unk>", 0.0), ("z", -9.0), ("w", -2.0), unknown=2)
    assert pieces_of(trimmed(tokenizer, ["w"])) == ["x", "y", "<unk>", "z", "w"]


def test_other_kinds_are_refused():
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    with pytest.raises(ModelError, match="WordPiece, BPE, Unigram, not WordLevel"):
        trimmed(tokenizer, ["a"])


@pytest.mark.parametrize("kind", ["bert", "template", "sequence"])
def test_special_tokens_have_their_new_ids_wherever_they_stand(kind):
    tokenizer = wordpiece("a", "b", "c", "[SEP]", "[CLS]", "[PAD]", "[MASK]")
    tokenizer.add_special_tokens(["[MASK]", "[NEW]"])
    tokenizer.add_tokens([AddedToken("word")])
    template = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 5), ("[SEP]", 4)])
    tokenizer.post_processor = {
        "bert": processors.BertProcessing(("[SEP]", 4), ("[CLS]", 5)),
        "template": template,
        "sequence": processors.Sequence([processors.ByteLevel(), template]),
    }[kind]
    tokenizer.enable_padding(pad_id=6, pad_token="[PAD]", length=8)
    small = trimmed(tokenizer, ["c"])
    kept = ["[UNK]", "c", "[SEP]", "[CLS]", "[PAD]", "[MASK]", "[NEW]", "word"]
    assert pieces_of(small) == kept
    found = small.encode("c[MASK] [NEW] word")
    assert found.tokens == ["[CLS]", "c", "[MASK]", "[NEW]", "word", "[SEP]", "[PAD]", "[PAD]"]
    assert found.ids == [kept.index(token) for token in found.tokens]


def learnt(kind, texts):
    special = ["<unk>", "<pad>"]
    if kind == "WordPiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
        trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    elif kind == "BPE":
        tokenizer = Tokenizer(models.BPE())
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(
            vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False
        )
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = byte_level if kind == "BPE" else pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


@pytest.mark.parametrize("characters", [True, False])
@pytest.mark.parametrize("kind", ["WordPiece", "BPE", "Unigram"])
def test_texts_that_were_read_are_read_as_before(kind, characters):
    random_ = random.Random(kind)

    def text():
        words = ("".join(random_.choices("aaabbcdeé中", k=random_.randrange(1, 9))) for _ in range(8))
        return " ".join(words)

    tokenizer = learnt(kind, [text() for _ in range(300)])
    texts = [*(text() for _ in range(12)), "xyz é unseen"]
    small = trimmed(tokenizer, texts, characters)
    assert small.get_vocab_size() < 0.8 * tokenizer.get_vocab_size()
    for each in texts:
        assert small.encode(each).tokens == tokenizer.encode(each).tokens
    others = [text() for _ in range(200)]
    assert any(small.encode(each).tokens != tokenizer.encode(each).tokens for each in others)
    if characters:
        assert sum(small.encode(each).tokens.count("<unk>") for each in others) == 0
