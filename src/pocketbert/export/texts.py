"""The texts of the gate: those that break exports, and rows of the user's own."""

from collections.abc import Sequence

from pocketbert.engines.golden import GoldenText
from pocketbert.tasks.base import Example

_LONG = (
    "The keeper of the lighthouse wrote down the weather every morning, and when the fog lifted he counted the "
    "ships that had come in overnight. "
)

HARD: dict[str, str] = {
    "a sentence": "The second half is better than the first, but not by much.",
    "a question": "Which of the two trains leaves for the coast before noon?",
    "news": "The council of the harbour town voted on Tuesday to repair the old bridge before winter.",
    "short": "ok",
    "one letter": "a",
    "capitals": "NOT A SINGLE WORD OF THIS IS TRUE",
    "empty": "",
    "only spaces": "   ",
    "only punctuation": "?!… --- ;;; (((",
    "line breaks and tabs": "first line\n\nsecond line\twith a tab\r\nthird",
    "control characters": "bell \x07 escape \x1b zero width \u200b\u200d end",
    "numbers": "On 3/4/2021 at 09:45 it cost $1,299.00, i.e. 17.5 % more than 1.1e3.",
    "address": "See https://example.org/a/b?c=1&d=%20#e or write to someone@example.org.",
    "markup": "<p class='x'>Tom &amp; Jerry<br/></p>",
    "code": "for (int i = 0; i < n; ++i) { a[i] ^= ~b[i] & 0xff; }",
    "accents": "Señor Müller's naïve café in Kraków served crème brûlée.",
    "combining marks": "Cafe\u0301 and n\u0303 and a\u0308, written with combining marks",
    "ligatures and full width": "ﬁne ﬂow Ｆｕｌｌ ｗｉｄｔｈ ½ ² ™",
    "Chinese": "今天的天气很好，我们去公园散步吧。",
    "Japanese": "これはとても面白い映画でした。",
    "Korean": "이 영화는 정말 재미있었습니다.",
    "Russian": "Это был самый скучный фильм в моей жизни.",
    "Greek": "Η θάλασσα ήταν ήρεμη εκείνο το πρωί.",
    "Hindi": "यह बहुत अच्छी किताब है।",
    "Thai": "อาหารอร่อยมากแต่แพงไปหน่อย",
    "Arabic, right to left": "كان الطقس جميلا جدا في ذلك اليوم.",
    "Hebrew, right to left": "הסרט היה ארוך מדי, אבל המוזיקה נפלאה.",
    "both directions": "The word שלום means peace, and سلام does too.",
    "emoji": "Loved it 😍😍 would go again 👍🏽 🎉",
    "joined emoji": "A family 👨‍👩‍👧‍👦 and a flag 🏳️‍🌈 and a keycap 1️⃣",
    "mathematics": "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋ ⇒ √2 ≈ 1.414",
    "one very long word": "pneumonoultramicroscopicsilicovolcanoconiosis" * 6,
    "one character, again and again": "!" * 300,
    "about 100 tokens": _LONG * 4,
    "about 500 tokens": _LONG * 18,
    "far more than any model takes": _LONG * 60,
}
"""By what is special about them."""

_SECOND = "The answer is that it depends on the weather, on the tide and on who was asked."


def gate_texts(kind: str, rows: Sequence[Example], wanted: int) -> list[GoldenText]:
    """The texts that a file of a task is tried on.

    Args:
        kind: ``single``, ``pair`` (both ways round), ``spans`` (question and context) or ``words``.
        rows: examples of the user's data; at most ``wanted`` of them are taken, evenly spread.
        wanted: of the rows.
    """
    step = max(1, len(rows) // wanted) if wanted else 1
    chosen = list(rows[::step][:wanted]) if wanted else []
    own = [GoldenText(text=row.text, pair=row.pair, what=row.where) for row in chosen]
    return [*_hard_texts(kind), *own]


def _hard_texts(kind: str) -> list[GoldenText]:
    if kind == "words":
        # A row of no words at all is refused by every reader, so it is not tried.
        return [GoldenText(text=words, what=what) for what, text in HARD.items() if (words := text.split())]
    if kind == "spans":
        return [GoldenText(text="Who was asked?", pair=text, what=what) for what, text in HARD.items()]
    if kind == "pair":
        pairs = [GoldenText(text=text, pair=_SECOND, what=what) for what, text in HARD.items()]
        return [*pairs, *(GoldenText(text=_SECOND, pair=each.text, what=each.what) for each in pairs)]  # type: ignore[arg-type]
    return [GoldenText(text=text, what=what) for what, text in HARD.items()]
