"""What a question says besides its words: whom it names, and when."""

from datetime import UTC, datetime

import pytest

from services.domain.named_times import named_times
from services.domain.questions import read_question

NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("question", "speakers", "words", "named"),
    [
        ("When did Andrea move to Lima?", ["andrea", "bruno"], "When did move to Lima?", ("andrea",)),
        ("What is ANDREA's cat called?", ["Andrea"], "What is cat called?", ("Andrea",)),
        ("what did andrea cook", ["andrea"], "what did cook", ("andrea",)),
        ("¿Qué cocinó Andréa?", ["andrea"], "¿Qué cocinó ?", ("andrea",)),
        ("What did Maria say?", ["maria.lopez", "42"], "What did say?", ("maria.lopez",)),
        ("Which team won?", ["support-team"], "Which team won?", ()),
        ("Did Andreas call?", ["andrea"], "Did Andreas call?", ()),
        ("What did 42 say?", ["42"], "What did 42 say?", ()),
        ("Did Andrea ask Bruno?", ["andrea", "bruno"], "Did ask ?", ("andrea", "bruno")),
        ("Andrea?", ["andrea"], "Andrea?", ("andrea",)),
        ("", ["andrea"], "", ()),
        ("Where is it?", [], "Where is it?", ()),
    ],
)
def test_the_names_of_those_who_speak_are_told_from_the_words(
    question: str, speakers: list[str], words: str, named: tuple[str, ...]
) -> None:
    read = read_question(question, speakers, NOW)
    assert (read.words, read.speakers) == (words, named)


@pytest.mark.parametrize(
    ("question", "begins"),
    [
        ("What happened on 7 May 2023?", ["2023-05-07"]),
        ("What happened on May 7th, 2023?", ["2023-05-07"]),
        ("What happened on 2023-05-07?", ["2023-05-07"]),
        ("¿Qué pasó el 7 de mayo de 2023?", ["2023-05-07"]),
        ("Where was she in March 2024?", ["2024-03-01"]),
        ("¿Dónde estaba en marzo del 2024?", ["2024-03-01"]),
        ("Who came in 2024 and in 2025?", ["2024-01-01", "2025-01-01"]),
        ("where was he in may 2025", ["2025-05-01"]),
        ("Who came on 29 February 2023?", []),
        ("Who comes in May 2027?", []),
        ("May I march in, and how may I pay 1200?", []),
        ("Call 20245 or room 12-2024-7", []),
    ],
)
def test_the_times_that_a_question_names_are_found(question: str, begins: list[str]) -> None:
    assert [start.date().isoformat() for start, _ in named_times(question, NOW)] == begins


def test_a_month_without_a_year_is_that_month_of_any_year_so_far() -> None:
    spans = named_times("What did I cook in June?", NOW)
    assert [start.year for start, _ in spans] == [2025, 2024, 2023, 2022, 2021, 2020, 2019, 2018, 2017]
    assert {start.month for start, _ in spans} == {6}


def test_what_happened_is_talked_about_some_days_longer() -> None:
    ((start, end),) = named_times("What happened on 2023-12-31?", NOW)
    assert start == datetime(2023, 12, 31, tzinfo=UTC)
    assert end == datetime(2024, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    "question", ["who has extension 9999?", "call 9999-12-31", "9999-12", "ABR\u0130L", "augu\u017ft 2020"]
)
def test_what_only_looks_like_a_time_is_none(question: str) -> None:
    assert named_times(question, NOW) == ()
