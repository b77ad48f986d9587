"""Summaries made of the messages' own sentences: what is kept when a model's summary is not borne out, or is missing.

The sentences are ranked by latent semantic analysis (sumy). It and numpy are imported when first needed: they take
1 s and 57 MiB, which an idle worker does not pay.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from services.domain.languages import FUNCTION_WORDS, language_of
from services.domain.messages import ArchivedMessage
from services.domain.transcripts import line
from services.domain.words import fold, sentences, stem

MOST_SENTENCES = 160
MOST_SENTENCE_CHARS = 400
MOST_MESSAGE_CHARS = 8_000
NEWEST_SHARE = 0.5
CUT = "\u2026"

_WORD = re.compile(r"\w+")
_ENDS = ".!?:;\u2026)\"'"
# Whatever is between two lines is read once: of thousands of empty ones, too.
_LIST = re.compile(r":[^\S\n]*+\n\s*+[-*\u2022]\s+")
_LIST_ITEM = re.compile(r"(?<!\s)[^\S\n]*+\n\s*+[-*\u2022]\s+")
_SPEAKER = re.compile(r"(user|assistant|tool|system)\b[^:\n]{0,210}: ")


def extract_summary(messages: Sequence[ArchivedMessage], *, max_sentences: int = 6, max_chars: int = 1_200) -> str:
    """Give the sentences that say most, verbatim and in the order of the talk, a speaker a line.

    Only a sentence over 400 characters or over `max_chars` is cut, and shows it. What tools answered is used where
    nobody else said anything. Never empty when there is a message.
    """
    spoken = [message for message in messages if message.role != "tool" and _WORD.search(message.content)]
    said = _said(spoken or messages)
    costs = [len(speaker) + len(sentence) + 4 for speaker, sentence in said]
    ranked = _ranked([sentence for _, sentence in said])
    chosen = _fitting(ranked[:max_sentences], costs, max_chars) or ranked[:1]
    lines = [
        f"{speaker}: {_joined(said[index][1] for index in group)}"
        for speaker, group in groupby(sorted(chosen), key=lambda index: said[index][0])
    ]
    return _cut("\n".join(lines), max_chars)


def extract_rolling(previous: str, parts: Sequence[str], max_chars: int) -> str:
    """Give the summaries' lines that say most, oldest first; the newest part keeps at least half of the space."""
    lines = list(dict.fromkeys(unit for text in (previous, *parts) for unit in _units(text)))[-MOST_SENTENCES:]
    costs = [len(unit) + 1 for unit in lines]
    if sum(costs) <= max_chars + 1:
        return "\n".join(lines)
    newest = frozenset(_units(parts[-1])) if parts else frozenset[str]()
    ranked = _ranked(lines)
    recent = _fitting([index for index in ranked if lines[index] in newest], costs, int(max_chars * NEWEST_SHARE))
    left = max_chars - sum(costs[index] for index in recent)
    older = _fitting([index for index in ranked if index not in set(recent)], costs, left)
    return _cut("\n".join(lines[index] for index in sorted([*recent, *older] or ranked[-1:])), max_chars)


def _said(messages: Sequence[ArchivedMessage]) -> list[tuple[str, str]]:
    """Give (speaker, sentence) pairs: the same number from each message at most, so that nobody crowds out the rest."""
    spoken = [(message.speaker, _shown(message)) for message in messages]
    most = max(1, MOST_SENTENCES // max(1, len(spoken)))
    pairs = [(speaker, sentence) for speaker, parts in spoken for sentence in parts[:most]]
    return list(dict.fromkeys(pairs[-MOST_SENTENCES:]))


def _shown(message: ArchivedMessage) -> list[str]:
    parts = sentences(_LIST_ITEM.sub("; ", _LIST.sub(": ", message.content[:MOST_MESSAGE_CHARS])))
    if not parts:
        parts = [line(message).removeprefix(f"{message.speaker}: ").strip() or CUT]
    return [_cut(part, MOST_SENTENCE_CHARS) for part in parts]


def _joined(parts: Iterable[str]) -> str:
    return " ".join(part if part[-1] in _ENDS else f"{part}." for part in parts)


def _units(text: str) -> list[str]:
    """Give a summary's lines, or its sentences where no speaker would be lost."""
    found: list[str] = []
    for part in text.splitlines():
        found.extend([part.strip()] if _SPEAKER.match(part) else sentences(part))
    return [_cut(unit, MOST_SENTENCE_CHARS) for unit in found if unit]


def _fitting(ranked: Iterable[int], costs: Sequence[int], max_chars: int) -> list[int]:
    chosen: list[int] = []
    left = max_chars
    for index in ranked:
        if costs[index] <= left:
            chosen.append(index)
            left -= costs[index]
    return chosen


def _ranked(texts: Sequence[str]) -> list[int]:
    """Give the texts' indexes, best first; the longest vocabulary first where there is too little to analyse."""
    unwanted = FUNCTION_WORDS.get(language_of(" ".join(texts)), frozenset())
    vocabulary = [
        [stem(fold(word)) for word in _WORD.findall(text) if word.casefold() not in unwanted] for text in texts
    ]
    distinct = {word for words in vocabulary for word in words}
    if len(texts) <= 1 or len(distinct) < len(texts):
        return sorted(range(len(texts)), key=lambda index: (-len(set(vocabulary[index])), index))
    return _by_meaning(vocabulary)


def _by_meaning(vocabulary: Sequence[Sequence[str]]) -> list[int]:
    from sumy.models.dom import ObjectDocumentModel, Paragraph, Sentence  # noqa: PLC0415
    from sumy.summarizers.lsa import LsaSummarizer  # noqa: PLC0415

    class Words:
        """sumy's own tokenizer wants a download; ours was used already."""

        @staticmethod
        def to_words(text: str) -> tuple[str, ...]:
            return tuple(text.split())

    numbers: dict[str, int] = {}

    def number(word: str) -> int:
        """Sumy keeps stems in a set: integers leave it in the same order in every process, strings do not."""
        return numbers.setdefault(word, len(numbers))

    ratings: list[tuple[float, int]] = []

    def collect(infos: list[object]) -> list[object]:
        ratings.extend((round(-info.rating, 6), info.order) for info in infos)  # type: ignore[attr-defined]
        return infos

    document = ObjectDocumentModel([Paragraph(Sentence(" ".join(words), Words) for words in vocabulary)])
    LsaSummarizer(number)(document, collect)
    return [index for _, index in sorted(ratings)]


def _cut(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else text[: max(0, max_chars - 1)].rstrip() + CUT
