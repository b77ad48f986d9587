"""Reads what a memory says into a form that only changes with its meaning: what differs in it may be another fact.

Numbers, names, negations, tenses, accents, order and commas stay as they are. What is taken away is only what cannot
matter: which person the owner is spoken of in, a contraction, quotation marks, how a date is written.
"""

import re
import unicodedata
from dataclasses import dataclass

from services.domain import lexicon
from services.domain.words import fold, word_set

# Never mistaken for something else in the other language, as `once` (11) is.
_NUMBERS = {
    word: str(lexicon.NUMBERS[word])
    for word in word_set(
        "two three four five six seven eight nine ten eleven twelve dos tres cuatro cinco siete ocho nueve diez doce"
    )
}
_SYNONYMS = {
    "resides": "lives", "residing": "living", "resided": "lived", "reside": "vive", "residía": "vivía",
    "favourite": "favorite", "colour": "color", "e-mail": "email", "automobile": "car", "automóvil": "auto",
    **_NUMBERS,
}  # fmt: skip
_FILLERS = word_set("currently actualmente")
_USERS = word_set("user user's usuario usuaria")
_ARTICLES = word_set("the el la")
_FIRST_PERSON = word_set(
    "i me my mine myself we us our ours yo mi mis mí conmigo nosotros nosotras nuestro nuestra nuestros nuestras"
)
# Whom or what these mean, or when, only the conversation could tell.
_POINTING = word_set(
    """
    he him his she her hers they them their it its this these those there here él ella ellos ellas su sus suyo suya eso
    esto ese esa esos esas este esta estos estas aquí allí ahí allá lo le les
    now today tonight yesterday tomorrow ago last next soon recently hoy ayer mañana anoche ahora pasado pasada próximo
    próxima hace pronto recientemente
    """
)
_IRREGULAR = {"am": "is", "have": "has", "do": "does", "go": "goes"}
_SAME_IN_EVERY_PERSON = word_set("can could will would should must may might had did was")
_CONTRACTIONS = {"can't": "can not", "cannot": "can not", "won't": "will not", "i'm": "i am", "i've": "i have"}
_MONTH = "|".join(sorted(lexicon.MONTHS, key=len, reverse=True))
_DATES = (
    re.compile(rf"\b(?P<month>{_MONTH})\.? (?P<day>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<year>\d{{4}})\b", re.IGNORECASE),
    re.compile(
        rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)? (?:of |de )?(?P<month>{_MONTH})\.?,? (?:del? |of )?(?P<year>\d{{4}})\b",
        re.IGNORECASE,
    ),
)
_ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_QUOTES = str.maketrans("", "", '"\u201c\u201d\u00ab\u00bb')
_ENDS = ".,;:!\u2026"


@dataclass(frozen=True, slots=True)
class Reading:
    """`words` is what is said word by word; `meaning` the same with synonyms and dates written in one way.

    It `names_its_subject` when it says that it speaks of the owner, and is `dated` when it names a day with its year.
    """

    words: tuple[str, ...]
    meaning: tuple[str, ...]
    names_its_subject: bool
    dated: bool


def read_statement(text: str, *, own: bool) -> Reading | None:
    """Read a statement; None where it is a question, or points at what it does not name.

    `own` says that it stands among a person's own memories, where the user and `I` are that person.
    """
    said = unicodedata.normalize("NFC", text).replace("\u2019", "'").translate(_QUOTES)
    words = _of_owner(_tokens(said)) if own else _tokens(said)
    if not words or "?" in said or "\u00bf" in said or _points(words, own=own):
        return None
    rewritten = _of_owner(_tokens(_with_plain_dates(said))) if own else _tokens(_with_plain_dates(said))
    meaning = tuple(_SYNONYMS.get(word, word) for word in rewritten if word not in _FILLERS)
    subject = own and (words[0] == "user" or words[0] == "user's")
    return Reading(
        words=tuple(words[1:] if words[0] == "user" else words),
        meaning=meaning[1:] if meaning[:1] == ("user",) else meaning,
        names_its_subject=subject,
        dated=any(_ISO_DAY.fullmatch(word) for word in meaning),
    )


def _points(words: list[str], *, own: bool) -> bool:
    pointing = _POINTING | (frozenset() if own else _FIRST_PERSON | _USERS)
    return any(word.casefold() in pointing for word in words)


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    for raw in text.split():
        bare = raw.rstrip(_ENDS)
        end = raw[len(bare) :]
        bare = bare.removeprefix("(").removesuffix(")").strip("'") if len(bare) > 1 else bare
        if bare:
            tokens += _written_out(_lower_first(bare) if not tokens else bare)
        if end and bare:
            tokens.append("," if end == "," else ".")
    while tokens and tokens[-1] in {".", ","}:
        tokens.pop()
    return tokens


def _lower_first(word: str) -> str:
    """A sentence's first word has a capital anyway; more than one is an acronym."""
    return word if sum(letter.isupper() for letter in word) > 1 else word.casefold()


def _written_out(word: str) -> list[str]:
    low = word.casefold()
    if low in _CONTRACTIONS:
        return _CONTRACTIONS[low].split()
    if low.endswith("n't"):
        return [low.removesuffix("n't"), "not"]
    return ["i"] if word == "I" else [word]


def _of_owner(tokens: list[str]) -> list[str]:
    """Speak of the owner in one way: `I live` and `the user lives` are the same."""
    done: list[str] = []
    spoken = False  # the word before was `i`
    for at, token in enumerate(tokens):
        following = tokens[at + 1].casefold() if at + 1 < len(tokens) else ""
        low = token.casefold()
        if low in _ARTICLES and following in _USERS:
            continue
        if low == "i":
            done.append("user")
        elif low == "my":
            done.append("user's")
        elif low in _USERS:
            done.append("user's" if low == "user's" else "user")
        else:
            done.append(_third_person(token) if spoken else token)
        spoken = low == "i"
    return done


def _third_person(verb: str) -> str:
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb in _SAME_IN_EVERY_PERSON or verb.endswith("ed"):
        return verb
    if verb.endswith(("s", "x", "ch", "sh", "o")):
        return verb + "es"
    return verb[:-1] + "ies" if verb.endswith("y") and verb[-2:-1] not in set("aeiou") else verb + "s"


def _with_plain_dates(text: str) -> str:
    for pattern in _DATES:
        text = pattern.sub(_iso, text)
    return text


def _iso(match: re.Match[str]) -> str:
    # A Turkish letter passes for a Latin one where case does not matter, and makes no month.
    month = lexicon.MONTHS.get(fold(match["month"]))
    return f"{match['year']}-{month:02}-{int(match['day']):02}" if month else match.group()
