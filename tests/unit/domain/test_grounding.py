import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.domain.grounding import check, keep_grounded_sentences
from services.domain.messages import ArchivedMessage
from services.domain.words import sentences, stem, whole_sentences

CASES = json.loads((Path(__file__).parent / "grounding_cases.json").read_text(encoding="utf-8"))
OTHER_LANGUAGE = "cross-language"


def archived(talk: dict[str, Any]) -> list[ArchivedMessage]:
    return [
        ArchivedMessage(
            "room:a",
            seq,
            str(seq),
            said["role"],
            said["content"],
            said["user_id"],
            datetime.fromisoformat(said["sent_at"]),
        )
        for seq, said in enumerate(talk["messages"], start=1)
    ]


def one(content: str, role: str = "user") -> ArchivedMessage:
    return ArchivedMessage("user:demo", 1, "1", role, content, "demo", datetime(2026, 3, 2, tzinfo=UTC))


def labelled(label: str) -> Iterator[tuple[list[ArchivedMessage], str, str]]:
    for talk in CASES:
        for kind, statement in talk[label]:
            yield archived(talk), kind, statement


@pytest.mark.parametrize(("talk", "kind", "statement"), list(labelled("false")))
def test_what_was_not_said_never_passes(talk: list[ArchivedMessage], kind: str, statement: str) -> None:
    assert not check(statement, talk).grounded, kind


def test_honest_paraphrases_mostly_pass() -> None:
    """Measured: 62 of 70; 2 of the 8 lost are in another language than their source, which is never recognised."""
    verdicts = [(kind, check(statement, talk).grounded) for talk, kind, statement in labelled("true")]
    in_same_language = [passed for kind, passed in verdicts if kind != OTHER_LANGUAGE]
    assert sum(in_same_language) >= 0.9 * len(in_same_language)
    assert not any(passed for kind, passed in verdicts if kind == OTHER_LANGUAGE)


def test_every_plain_sentence_of_a_source_bears_itself_out() -> None:
    """Measured: 17 of 17."""
    talks = [archived(talk) for talk in CASES]
    own = [
        check(sentence, talk).grounded
        for talk in talks
        for message in talk
        for sentence in sentences(message.content)
        if message.role == "user" and "?" not in sentence and len(sentence.split()) > 4
    ]
    assert sum(own) >= 0.9 * len(own)


@pytest.mark.parametrize(
    ("said", "statement"),
    [
        ("The rent is 1,200 dollars.", "The rent is 1.200 dollars."),
        ("The rent is 1200 dollars.", "The rent is 1,200 dollars."),
        ("La renta es de 1.200,50 pesos.", "La renta es de 1,200.50 pesos."),
        ("La renta son 3 mil pesos.", "La renta son 3000 pesos."),
        ("The rent is two hundred dollars.", "The rent is 200 dollars."),
        ("Meet me at 3:30 pm.", "The user will meet at 15:30."),
        ("La cita es a las 9:00.", "La cita es a las 9."),
        ("The call is tomorrow.", "The call is on Tuesday, 3 March 2026."),
        ("La cita es el viernes.", "La cita es el 6 de marzo."),
        ("I drink a lot of café.", "The user drinks cafe."),
    ],
)
def test_the_same_thing_in_another_form_passes(said: str, statement: str) -> None:
    assert check(statement, [one(said)]).grounded


@pytest.mark.parametrize(
    ("said", "statement"),
    [
        ("The rent is 1,200 dollars.", "The rent is 12,000 dollars."),
        ("The call is tomorrow.", "The call is on Wednesday."),
        ("Meet me at 3:30 pm.", "The user will meet at 3:30 am."),
        ("I like tea, not coffee.", "The user likes coffee."),
        ("No como carne.", "El usuario come carne."),
        ("I moved from Lima to Quito.", "The user moved from Quito to Lima."),
        ("Me mudé de Lima a Quito.", "El usuario se mudó de Quito a Lima."),
    ],
)
def test_a_changed_detail_does_not_pass(said: str, statement: str) -> None:
    assert not check(statement, [one(said)]).grounded


@pytest.mark.parametrize("statement", ["", "...", "The user said hello.", "🙂"])
def test_what_claims_nothing_is_not_grounded(statement: str) -> None:
    assert not check(statement, [one("I live in Lima.")]).grounded
    assert not check(statement, []).grounded


@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)], ids=["min", "max"])
@pytest.mark.parametrize("day", ["yesterday", "tomorrow", "on Monday", "last week", "on 31 December", "in 3 days"])
def test_there_is_no_day_before_the_first_and_after_the_last(at: datetime, day: str) -> None:
    """Other languages write a time that nobody set as the first of all."""
    said = ArchivedMessage("room:a", 1, "1", "user", f"I met Rosa {day}.", "42", at)
    assert check(f"The user met Rosa {day}.", [said]).grounded


def test_missing_words_are_named_and_coverage_counted() -> None:
    verdict = check("The user lives in Bogotá.", [one("I live in Lima.")])
    assert verdict.missing == ("Bogota",)
    assert verdict.coverage == 0.5


def test_a_summary_is_parted_into_what_is_borne_out_and_what_is_not() -> None:
    talk = archived(CASES[0])
    summary = "The user has a dog called Bruno. The flat has a balcony. The user has a dog called Bruno."
    kept, dropped = keep_grounded_sentences(summary, talk)
    assert kept == ("The user has a dog called Bruno.",)
    assert dropped == ("The flat has a balcony.", "The user has a dog called Bruno.")


def test_forms_of_a_word_share_a_stem() -> None:
    for forms in (
        "move moves moved moving",
        "mudar mudo mudanza mudarse",
        "plan plans planned planning",
        "quiero querer",
    ):
        assert len({stem(form) for form in forms.split()}) == 1, forms


def test_a_broken_off_sentence_is_left_out() -> None:
    assert whole_sentences("The rent is due. The user al") == "The rent is due."
    assert whole_sentences("no end") == ""


def test_a_long_talk_is_checked_in_bounded_time() -> None:
    talk = [one("I live in Lima and pay 900 dollars for a flat with two rooms near the park. " * 20)] * 60
    kept, _ = keep_grounded_sentences("The user lives in Lima. The user pays 900 dollars.", talk)
    assert len(kept) == 2


@pytest.mark.parametrize("invented", ["Suma", "Asker", "Sayed"])
def test_a_name_that_resembles_a_reporting_word_is_a_name(invented: str) -> None:
    """The first was invented by a model, about a cat."""
    talk = [one("I moved to Lima last week"), one("My cat is called Nube")]
    assert not check(f"{invented}, a cat named Nube, moved to Lima last week.", talk).grounded
