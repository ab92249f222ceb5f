import pytest
from transformers import AutoTokenizer

from pocketbert.tasks.words import first_tokens, mark_word_starts


def test_first_tokens_of_words():
    word_ids = [None, 0, 0, 2, 2, 2, 3, None]
    assert first_tokens(word_ids, 6).tolist() == [1, -1, 3, 6, -1, -1]


@pytest.mark.parametrize("name", ["roberta", "byte_sequence"])
def test_byte_level_words_start_with_a_space_even_after_saving(name, request, tmp_path):
    tokenizer = request.getfixturevalue(name)
    words = ["the", "cat"]
    # Some releases of transformers refuse such words before they are marked; the tokenizer behind them does not.
    before = tokenizer.backend_tokenizer.encode(words, is_pretokenized=True).tokens
    assert not any("Ġ" in token for token in before)
    mark_word_starts(tokenizer)
    after = tokenizer(words, is_split_into_words=True).tokens()
    assert [token[0] for token in after if token.startswith("Ġ")] == ["Ġ", "Ġ"]
    tokenizer.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)(words, is_split_into_words=True).tokens() == after


def test_places_of_the_first_word_stay_right(roberta):
    mark_word_starts(roberta)
    assert roberta("the cat", return_offsets_mapping=True)["offset_mapping"][1] == (0, 3)


def test_other_tokenizers_are_left_alone(wordpiece):
    before = wordpiece.backend_tokenizer.to_str()
    mark_word_starts(wordpiece)
    assert wordpiece.backend_tokenizer.to_str() == before
