import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.domain.extraction.interpretation import interpret
from services.domain.extraction.owners import Rights
from services.domain.extraction.statements import find_statements
from services.domain.messages import ArchivedMessage
from tests.support.talk import talk

CASES = json.loads((Path(__file__).parent / "extraction_cases.json").read_text(encoding="utf-8"))
SAMPLE = Path(__file__).parents[3] / "services/sample/conversation.jsonl"
Labels = dict[int, list[tuple[str, str]]]


def sample() -> tuple[list[ArchivedMessage], Labels]:
    lines = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    messages = [
        ArchivedMessage(
            "user:demo",
            seq,
            line["id"],
            line["role"],
            line["content"],
            line["user_id"],
            datetime.fromisoformat(line["sent_at"]),
        )
        for seq, line in enumerate(lines, start=1)
    ]
    return messages, {int(seq): [(kind, part) for kind, part in labels] for seq, labels in CASES["sample"].items()}


def conversation(case: dict[str, Any]) -> tuple[list[ArchivedMessage], Labels]:
    said = case["messages"]
    began = datetime(2026, 3, 2, 9, tzinfo=UTC)
    messages = [
        ArchivedMessage(
            "room:a", seq, str(seq), one["role"], one["content"], one["user_id"], began + timedelta(hours=seq)
        )
        for seq, one in enumerate(said, start=1)
    ]
    return messages, {seq: [(kind, part) for kind, part in one["durable"]] for seq, one in enumerate(said, start=1)}


def measured(messages: list[ArchivedMessage], labels: Labels) -> tuple[int, int, set[tuple[int, str]]]:
    """Give how many memories are kept, how many of them rightly, and which of those that are labelled."""
    kept = interpret("", messages, [], Rights())
    right, found = 0, set[tuple[int, str]]()
    for decision in kept:
        seq = decision.sources[0].seq
        hits = [
            part for kind, part in labels.get(seq, []) if part in (decision.content or "") and kind == decision.kind
        ]
        right += bool(hits)
        found |= {(seq, part) for part in hits}
    return len(kept), right, found


TALKS = {"the sample": sample(), **{case["name"]: conversation(case) for case in CASES["conversations"]}}


@pytest.mark.parametrize("name", TALKS)
def test_what_the_rules_keep_is_worth_keeping(name: str) -> None:
    """Measured: 20 to 21 kept of each, all rightly; 31 of 31 in the two that were written before the rules saw them."""
    kept, right, _ = measured(*TALKS[name])
    assert kept >= 10
    assert right >= 0.9 * kept


@pytest.mark.parametrize("name", TALKS)
def test_the_rules_find_most_of_it(name: str) -> None:
    messages, labels = TALKS[name]
    *_, found = measured(messages, labels)
    assert len(found) >= 0.7 * sum(len(parts) for parts in labels.values())


@pytest.mark.parametrize(
    "said",
    [
        "user: Where do I live?",
        "user: ¿Vivo en Lima o no?",
        "user: I would like to live in Lima.",
        "user: Maybe I work as a nurse one day.",
        "user: She said: I live in Lima.",
        'user: The letter says "I live in Lima".',
        "user: Translate this: I live in Lima and I am a nurse.",
        "user: Traduce esto: vivo en Lima y tengo dos hijos.",
        "user: Pretend that I live in Lima.",
        "user: I have a question.",
        "user: Tengo una duda.",
        "user: I like it.",
        "user: I live in " + "very " * 80 + "far away.",
        "user: Thanks!",
        "assistant: I live in the cloud.",
        "tool: I live in Lima.",
        "system: I live in Lima.",
    ],
)
def test_what_is_no_durable_statement_of_ones_own_is_nothing(said: str) -> None:
    assert [one for one in find_statements(talk(said)) if one.kind] == []


@pytest.mark.parametrize(
    ("said", "kind", "slug"),
    [
        ("I live in Lima.", "semantic", "home"),
        ("Vivo en Lima.", "semantic", "home"),
        ("My address is Calle Uno 2.", "semantic", "address"),
        ("Mi dirección es Calle Uno 2.", "semantic", "address"),
        ("Our accountant is called Rosa.", "semantic", "accountant"),
        ("Mi contadora se llama Rosa.", "semantic", "accountant"),
        ("I am allergic to walnuts.", "semantic", "allergic_walnuts"),
        ("Please always answer in bullets.", "procedural", "rule_bullets"),
        ("Usa siempre la plantilla azul.", "procedural", "rule_plantilla_azul"),
        ("I booked the blue cabin.", "episodic", "booked_blue_cabin_2026-03"),
        ("Compré una bicicleta roja.", "episodic", "compre_bicicleta_roja_2026-03"),
    ],
)
def test_a_statement_gets_its_kind_and_always_the_same_slug(said: str, kind: str, slug: str) -> None:
    [decision] = interpret("", talk(f"user: {said}"), [], Rights())
    assert (decision.kind, decision.slug, decision.made_by) == (kind, slug, "verbatim")
    assert decision.content == f"user 42: {said}"


def test_what_goes_on_about_the_same_is_kept_with_it() -> None:
    [decision] = interpret("", talk("user: I have a cat. She hates travelling. Is that normal?"), [], Rights())
    assert decision.content == "user 42: I have a cat. She hates travelling."


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("I have choir practice on Thursdays at 19:00.", "Choir practice moved to Wednesdays at 18:30."),
        ("I drink coffee every morning.", "I no longer drink coffee, doctor's orders."),
        ("My address is Calle Uno 2.", "From May on my address is Calle Dos 3."),
        ("Vivo en Santiago.", "Me mudé a Valparaíso."),
        ("Tengo clases de piano los lunes.", "Las clases de piano ahora son los martes."),
        ("Please always answer in short bullets.", "From now on answer in long bullets, not short."),
        ("I booked the blue cabin.", "I cancelled the booked blue cabin."),
    ],
)
def test_a_change_keeps_the_slug(before: str, after: str) -> None:
    first, second = interpret("", talk(f"user: {before}", "assistant: Noted.", f"user: {after}"), [], Rights())
    assert first.slug == second.slug
    assert first.asserted_at < second.asserted_at
    assert second.content == f"user 42: {after}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("I have choir practice on Thursdays.", "I have piano lessons on Thursdays."),
        ("I drink coffee every morning.", "I no longer drink beer."),
        ("I paid the rent of the flat.", "I paid the rent of the shop."),
        ("I booked a flight to Lima.", "I booked a new flight to Quito."),
        ("My cat is called Nube.", "My dog is now called Sol."),
    ],
)
def test_what_is_about_something_else_is_another_memory(before: str, after: str) -> None:
    first, second = interpret("", talk(f"user: {before}", f"user: {after}"), [], Rights())
    assert first.slug != second.slug


def test_what_happens_again_in_another_month_is_another_memory() -> None:
    messages = talk("user: I paid the rent.", "user: I paid the rent.")
    later = [messages[0], ArchivedMessage(**{**_fields(messages[1]), "sent_at": datetime(2026, 4, 2, tzinfo=UTC)})]
    assert [one.slug for one in interpret("", later, [], Rights())] == ["paid_rent_2026-03", "paid_rent_2026-04"]


def _fields(message: ArchivedMessage) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__slots__}
