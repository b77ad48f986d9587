"""What a memory is called, so that the same fact said again gets the same name."""

import re
from collections.abc import Collection, Sequence
from datetime import datetime

from services.domain.extraction.topics import topic
from services.domain.memories import Kind
from services.domain.words import fold, word_set

WORDS = 4
LONGEST = 60
_OTHER = re.compile(r"[^a-z0-9]+")
_EMPTY = word_set("slug memory new user fact semantic episodic procedural none null unknown text name_of_memory k1")


def derived_slug(kind: Kind, words: Sequence[str], said_at: datetime, *, slot: str | None = None) -> str:
    """Name a memory by its telling words.

    A rule is told apart from a fact about the same. What happened bears its month: the next month's rent is paid anew.
    """
    bare = _bare("_".join([slot] if slot else words[:WORDS])) or "said"
    if kind == "episodic":
        return f"{bare}_{said_at:%Y-%m}"
    return f"rule_{bare}" if kind == "procedural" else bare


def proposed_slug(proposed: str) -> str | None:
    """Bring a slug that a model proposed into shape; None when it names nothing."""
    bare = _bare(proposed)
    return None if bare in _EMPTY or not re.search(r"[a-z]", bare) else bare


def distinct_slug(slug: str, words: Sequence[str], taken: Collection[str]) -> str:
    """Tell a slug from those that name something else, by the statement's own words."""
    longer = _bare("_".join([slug, *(word for word in words if word not in slug)][: WORDS + 1]))
    number, candidate = 2, longer
    while candidate in taken:
        candidate, number = f"{longer}_{number}", number + 1
    return candidate


def about_the_same(one: str, other: str) -> bool:
    """Say whether two texts under one slug are about one thing: they share a telling word, or either has none."""
    mine, theirs = topic(one), topic(other)
    return not mine or not theirs or bool(mine & theirs)


def _bare(text: str) -> str:
    return _OTHER.sub("_", fold(text)).strip("_")[:LONGEST].strip("_")
