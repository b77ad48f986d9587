"""Words without what inflection and accents add, for English and Spanish together.

The stemmer is light on purpose: it need not be right, only alike for forms of one word. No language has to be known
first: one list of endings serves both, longest first, and never leaves fewer than three letters.
"""

import re
import unicodedata
from functools import lru_cache

_SENTENCE_END = re.compile(r"(?<=[.!?\u2026])[\"')\u201d]*\s+|\n+")
_ACCENTS = re.compile(r"[\u0300-\u036f]")
_LEAST = 3
# Grounding asks for the same words again and again: for a summary, for the rolling one, for each memory.
_STEMS_KEPT = 16_384
_VOWELS = "aeiou"


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENDINGS = sorted(
    word_set(
        """
        s es ies ing ings ed ers er ly ment ments tion tions ion ions ness able y
        ado ada ados adas ido ida idos idas ando iendo yendo ar er ir arse erse irse arlo arla arlos arlas erlo erla
        aba abas aban abamos ia ias ian iamos are ara aran aremos aria arian ere era eran eremos eria ire ira
        iran iremos
        amos emos imos aron ieron iste aste io ie an en as os a o e i
        mente cion ciones anza anzas amiento amientos imiento imientos dor dora dores ito ita itos itas
        """
    ),
    key=lambda ending: (-len(ending), ending),
)
# Verbs whose forms share too few letters, and verbs that change their vowel.
IRREGULAR = {
    form: verb
    for verb, forms in {
        "pay": "paid",
        "buy": "bought",
        "go": "goes went gone going",
        "get": "got gotten getting",
        "take": "took taken",
        "give": "gave given",
        "make": "made",
        "see": "saw seen",
        "send": "sent",
        "spend": "spent",
        "keep": "kept",
        "leave": "left",
        "meet": "met",
        "find": "found",
        "sell": "sold",
        "tell": "told",
        "begin": "began begun",
        "choose": "chose chosen",
        "write": "wrote written",
        "speak": "spoke spoken",
        "bring": "brought",
        "think": "thought",
        "teach": "taught",
        "sleep": "slept",
        "lose": "lost",
        "hold": "held",
        "build": "built",
        "run": "ran",
        "drive": "drove driven",
        "eat": "ate eaten",
        "fly": "flew flown flies",
        "rise": "rose risen",
        "child": "children",
        "person": "people",
        "ir": "voy vas va vamos van fui iba iban",
        "hacer": "hago hace hacen hizo hecho haciendo hare hara",
        "decir": "digo dice dijo dicho diciendo",
        "poner": "pongo puso puesto",
        "venir": "vengo vino venido",
        "pedir": "pido pide pidio piden",
        "preferir": "prefirio prefiriendo",
    }.items()
    for form in forms.split()
}


def plain(text: str) -> str:
    """Take accents away."""
    if text.isascii():
        return text
    return _ACCENTS.sub("", unicodedata.normalize("NFKD", text))


def fold(text: str) -> str:
    """Take accents and case away."""
    return plain(text).casefold()


@lru_cache(maxsize=_STEMS_KEPT)
def stem(word: str) -> str:
    """Give what the forms of one folded word have in common: `moves`, `moved` and `moving` are `mov`."""
    word = _vowel_change(IRREGULAR.get(word, word).removesuffix("'s"))
    for _ in range(2):
        ending = next((one for one in ENDINGS if len(word) - len(one) >= _LEAST and word.endswith(one)), "")
        word = word.removesuffix(ending)
    if len(word) > _LEAST and word[-1] in _VOWELS:
        word = word[:-1]
    if len(word) > _LEAST and word[-1] == word[-2]:
        word = word[:-1]
    return re.sub(r"qu$", "c", re.sub(r"gu$", "g", word))


def _vowel_change(word: str) -> str:
    """Undo what stress does to Spanish verbs: `quiero` is said as `quero`, `puede` as `pode`."""
    return re.sub(r"(?<![qg])ue", "o", word.replace("ie", "e"))


def sentences(text: str) -> list[str]:
    """Split a text where a sentence or a line ends; the dot in `1.200` ends none."""
    return [sentence for part in _SENTENCE_END.split(text) if (sentence := part.strip())]


def whole_sentences(text: str) -> str:
    """Leave out a last sentence that was broken off, as an answer's is when its tokens ran out."""
    end = max(text.rfind(mark) for mark in ".!?\u2026")
    return text[: end + 1].strip()
