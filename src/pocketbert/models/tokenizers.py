"""Making a WordPiece tokenizer from text, or from a published ``vocab.txt``."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import BertTokenizer, PreTrainedTokenizerBase

from pocketbert.errors import PocketBertError
from pocketbert.models.loading import load_tokenizer

UNKNOWN = "[UNK]"
SPECIAL = ["[PAD]", UNKNOWN, "[CLS]", "[SEP]", "[MASK]"]
LARGEST_ALPHABET = 1000


def train_wordpiece(
    texts: Callable[[], Iterable[str]], vocabulary: int, lowercase: bool, positions: int
) -> PreTrainedTokenizerBase:
    """Learn a BERT WordPiece vocabulary: the same one from the same texts.

    Args:
        texts: gives the documents, from the first at each call; a few tens of megabytes are plenty.
        vocabulary: pieces, the five special tokens included.
        lowercase: fold case and strip accents, as the uncased BERT does.
        positions: longest input the model takes.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    alphabet = _choose_alphabet(texts(), min(LARGEST_ALPHABET, vocabulary // 8), tokenizer.normalizer)
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary,
        # Left to itself, the trainer numbers the pieces that continue a word in a random order, by which it then
        # decides between pairs of equal count.
        special_tokens=[*SPECIAL, *(f"##{character}" for character in alphabet)],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    return _bert_tokenizer(tokenizer.get_vocab(), lowercase, positions)


def _choose_alphabet(texts: Iterable[str], size: int, normalizer: normalizers.Normalizer) -> list[str]:
    """The most frequent characters, so that rare scripts do not use up a small vocabulary."""
    raw: Counter[str] = Counter()
    for text in texts:
        raw.update(text)
    counts: Counter[str] = Counter()
    for character, count in raw.items():
        for part in normalizer.normalize_str(character):
            counts[part] += count
    frequent = sorted(counts, key=lambda character: (-counts[character], character))
    return sorted([character for character in frequent if not character.isspace()][:size])


def read_tokenizer(source: str, lowercase: bool, positions: int) -> PreTrainedTokenizerBase:
    """A tokenizer from a model directory, or from a WordPiece ``vocab.txt`` with a piece a line.

    Raises:
        PocketBertError: there is no such file or directory.
    """
    path = Path(source)
    if path.is_dir():
        return load_tokenizer(source)
    if not path.is_file():
        raise PocketBertError(f"{source}: no such tokenizer; name a model directory or a vocab.txt")
    pieces = path.read_text(encoding="utf-8").splitlines()
    missing = [piece for piece in SPECIAL if piece not in pieces]
    if missing:
        raise PocketBertError(f"{source}: not a BERT vocabulary, it lacks {', '.join(missing)}")
    return _bert_tokenizer({piece: number for number, piece in enumerate(pieces)}, lowercase, positions)


def _bert_tokenizer(vocabulary: dict[str, int], lowercase: bool, positions: int) -> PreTrainedTokenizerBase:
    return BertTokenizer(vocab=vocabulary, do_lower_case=lowercase, model_max_length=positions)
