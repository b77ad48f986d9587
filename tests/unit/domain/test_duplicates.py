"""Two facts are never merged, however alike they are; what says the same is found."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.domain.duplicates import Memory, find_duplicates, say_the_same
from services.domain.memories import Kind, MadeBy
from services.domain.statement_reading import read_statement

START = datetime(2026, 3, 1, tzinfo=UTC)

# Each pair is of two facts.
DIFFERENT = [
    ("The user lives in Lima", "The user lived in Lima"),
    ("The user lives in Lima", "The user does not live in Lima"),
    ("The user lives in Lima", "The user lives in Quito"),
    ("The user lives in Lima", "The user's sister lives in Lima"),
    ("The user lives in Lima", "The user wants to live in Lima"),
    ("The user likes tea", "The user likes coffee"),
    ("The user likes tea", "The user liked tea"),
    ("The user drinks coffee with sugar", "The user drinks coffee without sugar"),
    ("The user has 2 dogs", "The user has 3 dogs"),
    ("The user has two dogs", "The user has three dogs"),
    ("The user earns 1.200 a month", "The user earns 1,200 a month"),
    ("The user owes $100", "The user owes €100"),
    ("The balance of the user is 5", "The balance of the user is -5"),
    ("The user saves 5 a month", "The user saves 5% a month"),
    ("The user was born on 2 March 1990", "The user was born on 3 March 1990"),
    ("The user was born on 2 March 1990", "The user was born on 2 March 1991"),
    ("The user starts on 3/2/2026", "The user starts on 2/3/2026"),
    ("The user wakes up at 6 am", "The user wakes up at 6 pm"),
    ("Ana manages Luis", "Luis manages Ana"),
    ("The user moved from Lima to Quito", "The user moved from Quito to Lima"),
    ("The user eats before training", "The user eats after training"),
    ("The user can drive", "The user can't drive"),
    ("The user will travel", "The user would travel"),
    ("The user has few friends", "The user has a few friends"),
    ("The user likes Turkey", "The user likes turkey"),
    ("The user works for US", "The user works for us"),
    ("The user writes C", "The user writes C++"),
    ("The user writes C#", "The user writes C"),
    ("No, sugar is fine", "No sugar is fine"),
    ("The user is in charge of Ana", "The user is in the charge of Ana"),
    ("The user always eats meat", "The user never eats meat"),
    ("The user once a week runs", "The user 11 a week runs"),
    ("El usuario vive en Lima", "El usuario vivía en Lima"),
    ("El usuario vive en Lima", "El usuario no vive en Lima"),
    ("El usuario trabajo en Lima", "El usuario trabajó en Lima"),
    ("El usuario tiene dos perros", "El usuario tiene tres perros"),
    ("El usuario tiene 20 años", "El usuario tiene 20 anos"),
    ("El usuario ama a Ana", "El usuario ama Ana"),
    ("El usuario come con sal", "El usuario come sin sal"),
    ("El usuario prefiere el lunes", "El usuario prefiere el martes"),
    ("El usuario nació el 2 de marzo de 1990", "El usuario nació el 2 de mayo de 1990"),
    ("Ana es jefa de Eva", "Eva es jefa de Ana"),
    ("El usuario siempre toma té", "El usuario nunca toma té"),
    ("La cuenta del usuario es 12.345.678-K", "La cuenta del usuario es 12.345.678-9"),
]
# What these mean depends on where, when and by whom they were said: alike to the letter, they may be two facts.
DEPENDING = [
    "She lives in Lima",
    "Her phone number is 555 0101",
    "It is broken",
    "The user travels tomorrow",
    "The user bought this last week",
    "Ella vive en Lima",
    "Su hermana vive en Lima",
    "El usuario viaja mañana",
    "Does the user live in Lima?",
    "¿Vive en Lima?",
]
# Each pair says one thing, in the same words or nearly.
SAME = [
    ("The user lives in Lima.", "the user lives in Lima", "same_words"),
    ("I live in Lima", "The user lives in Lima", "same_words"),
    ("I'm a nurse", "The user is a nurse", "same_words"),
    ("I don't drink coffee", "The user does not drink coffee", "same_words"),
    ("I have two dogs", "User has two dogs", "same_words"),
    ("My sister is called Eva", "The user's sister is called “Eva”", "same_words"),
    ("El usuario vive en Lima", "Usuario vive en Lima.", "same_words"),
    ("La usuaria tiene 20 años", "Usuaria tiene 20 años", "same_words"),
    ("The user resides in Lima", "The user lives in Lima", "same_meaning"),
    ("The user has 2 dogs", "The user has two dogs", "same_meaning"),
    ("The user was born on March 2nd, 1990", "The user was born on 2 March 1990", "same_meaning"),
    ("El usuario nació el 2 de marzo de 1990", "El usuario nació el 1990-03-02", "same_meaning"),
    ("The user currently works at Acme", "The user works at Acme", "same_meaning"),
]


def memory(
    content: str, slug: str, *, day: int = 0, kind: Kind = "semantic", made_by: MadeBy = "model", **metadata: str
) -> Memory:
    return Memory(slug, content, kind, made_by, metadata, START + timedelta(days=day), uuid4(), UUID(int=day))


def same(one: str, other: str, *, own: bool = True) -> str | None:
    return say_the_same(memory(one, "one"), memory(other, "other"), own=own)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
@pytest.mark.parametrize("own", [True, False])
def test_two_facts_are_never_the_same(one: str, other: str, *, own: bool) -> None:
    for slugs in (("user_fact", "user_note"), ("user", "user_info")):
        first, second = memory(one, slugs[0]), memory(other, slugs[1])
        assert say_the_same(first, second, own=own) is None
        assert find_duplicates([first, second], own=own) == []


@pytest.mark.parametrize("text", DEPENDING)
def test_what_points_elsewhere_is_not_compared(text: str) -> None:
    assert same(text, text) is None


@pytest.mark.parametrize(("one", "other", "reason"), SAME)
def test_what_says_the_same_is_found(one: str, other: str, reason: str) -> None:
    assert same(one, other) == reason
    assert same(other, one) == reason


def test_of_a_company_first_persons_are_anybody() -> None:
    assert same("I live in Lima", "I live in Lima", own=False) is None
    assert same("The user lives in Lima", "The user lives in Lima", own=False) is None
    assert say_the_same(memory("Acme bills monthly", "a"), memory("Acme bills monthly.", "a_info"), own=False)


def test_where_the_text_names_nobody_the_slug_does() -> None:
    mine, hers = memory("Lives in Lima", "user_city"), memory("Lives in Lima", "sister_city")
    assert say_the_same(mine, hers, own=True) is None
    assert say_the_same(mine, memory("Lives in Lima", "city"), own=True) == "same_words"
    assert say_the_same(memory("The user lives in Lima", "user_city"), hers, own=True) is None


def test_kind_and_metadata_are_part_of_what_is_said() -> None:
    text = "The user likes tea"
    assert say_the_same(memory(text, "a"), memory(text, "b", kind="procedural"), own=True) is None
    assert say_the_same(memory(text, "a"), memory(text, "b", since="2025"), own=True) is None


def test_an_event_happens_twice_unless_it_names_its_day() -> None:
    def twice(text: str) -> list[str]:
        found = find_duplicates(
            [memory(text, "a", kind="episodic"), memory(text, "b", day=9, kind="episodic")], own=True
        )
        return [pair.ended.slug for pair in found]

    assert twice("The user ran a marathon") == []
    assert twice("The user ran a marathon on 2 March 2026") == ["b"]


def test_what_was_said_first_is_kept_and_what_somebody_saved_is_never_ended() -> None:
    told = [memory("The user likes tea", f"tea_{day}", day=day) for day in (3, 1, 2)]
    found = find_duplicates(told, own=True)
    assert {pair.kept.slug for pair in found} == {"tea_1"}
    assert {pair.ended.slug for pair in found} == {"tea_2", "tea_3"}
    saved = memory("The user likes tea", "tea", day=9, made_by="caller")
    found = find_duplicates([*told, saved], own=True)
    assert {pair.kept.slug for pair in found} == {"tea"}
    # Until the one that is kept was said, the other one stood.
    assert {pair.ends_at for pair in found} == {saved.asserted_at}
    by_hand = [memory("The user likes tea", slug, made_by="row") for slug in ("a", "b")]
    assert find_duplicates(by_hand, own=True) == []


def test_nothing_that_is_kept_for_another_is_ended_for_a_third() -> None:
    texts = ["I live in Lima", "The user lives in Lima", "The user resides in Lima", "User currently lives in Lima"]
    for shift in range(4):
        memories = [memory(text, f"m{place}", day=(place + shift) % 4) for place, text in enumerate(texts)]
        found = find_duplicates(memories, own=True)
        ended = [pair.ended.slug for pair in found]
        assert len(ended) == len(set(ended))
        assert not {pair.kept.slug for pair in found} & set(ended)
        assert len(memories) - len(ended) >= 1


def test_odd_letters_and_endless_dots_are_read_as_they_are() -> None:
    for text in ("I moved on apr\u0131l 3, 2020.", "I moved" + "." * 200_000 + "x"):
        assert read_statement(text, own=True) is not None
