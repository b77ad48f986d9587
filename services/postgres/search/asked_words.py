"""Reads the words of a question in SQL: the parts `tokens` and `asked` of a statement that searches."""

from importlib.resources import files
from typing import Any

from services.domain.languages import FUNCTION_WORDS

# Every document is looked through for every word, and every token is read in every language: what is asked at length is
# asked in its first words, and in its vector.
MOST_WORDS = 40
MOST_TOKENS = 200
_SQL = files("services.postgres.search").joinpath("asked_words.sql").read_text().rstrip()


def with_asked_words(statement: str) -> str:
    """Put the two parts in for `{asked}`; what they need are the `asked_words`."""
    return statement.replace("{asked}", _SQL)


def asked_words(words: str) -> dict[str, Any]:
    return {
        "words": words,
        "most_words": MOST_WORDS,
        "most_tokens": MOST_TOKENS,
        "languages": list(FUNCTION_WORDS),
    }
