"""What rows say, in which words, and what is asserted of them given what they said before."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.domain.histories import check_memory
from services.domain.memories import NewMemory, OwnerType
from services.domain.rows.assertions import Said, assertions, columns_of, statements
from services.domain.rows.columns import company_memories, user_memories
from services.domain.rows.onboarding import onboarding_memories
from services.domain.rows.preferences import settings_memories
from services.domain.rows.wording import Statement, slug_part, worded

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OLD = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE = datetime(2025, 1, 1, tzinfo=UTC)


def test_a_whole_person_is_told() -> None:
    row = {"full_name": " Ana  María\tRojas ", "email": "ana@example.org", "phone": 56912345678, "role": "Gerenta"}
    assert user_memories(row) == [
        Statement("user_full_name", "Su nombre completo es Ana María Rojas."),
        Statement("user_email", "Su correo electrónico es ana@example.org."),
        Statement("user_phone", "Su número de teléfono es 56912345678."),
        Statement("user_role", "Su función es: Gerenta."),
    ]


def test_a_whole_company_is_told() -> None:
    row = {
        "tax_regime": "Pro Pyme (14 D)",
        "activity": "Venta de pan y pasteles.",
        "legal_representative": "Ana Rojas",
        "start_date": "2019-03-01",
        "accounting_start": "2020-01-31T00:00:00",
    }
    assert [(one.slug, one.content) for one in company_memories(row)] == [
        ("company_tax_regime", "El régimen tributario de la empresa es: Pro Pyme (14 D)."),
        ("company_activity", "La empresa se dedica a lo siguiente: Venta de pan y pasteles."),
        ("company_legal_representative", "La representación legal de la empresa la tiene Ana Rojas."),
        ("company_start_date", "La empresa inició sus actividades el 1 de marzo de 2019."),
        ("company_accounting_start", "La contabilidad de la empresa comienza el 31 de enero de 2020."),
    ]


def test_a_date_that_is_none_stands_as_it_is() -> None:
    [told] = company_memories({"start_date": "marzo de 2019"})
    assert told.content == "La fecha de inicio de actividades de la empresa es: marzo de 2019."


@pytest.mark.parametrize("empty", [None, "", "  \n ", "\x00", [], {}, [None, " "]])
def test_an_empty_field_says_nothing(empty: object) -> None:
    assert user_memories(dict.fromkeys(("full_name", "email", "phone", "role"), empty)) == []
    assert company_memories({"tax_regime": empty, "start_date": empty}) == []
    assert onboarding_memories("user", {"onboarding": {"goal": empty}}) == []
    assert settings_memories("user", {"settings": {"tone": empty, "deep": {"theme": empty}}}) == []


def test_answers_of_onboarding_are_told() -> None:
    told = onboarding_memories(
        "user",
        {
            "onboarding": {
                "goal": "ordenar mis cuentas",
                "interests": ["nieve", "hielo", "padres", "hijos"],
                "uses_accountant": False,
                "¿Cuántos años lleva?": 3,
                "business": {"monthly_sales": 1.5},
                "step": 4,
                "completed_at": "2026-01-01",
                "bank_password": "hunter2",
            }
        },
    )
    assert [(one.slug, one.content, one.kind) for one in told] == [
        ("user_onboarding_goal", "Al registrarse respondió a «objetivo»: ordenar mis cuentas.", "semantic"),
        (
            "user_onboarding_interests",
            "Al registrarse respondió a «intereses»: nieve, hielo, padres e hijos.",
            "semantic",
        ),
        ("user_onboarding_uses_accountant", "Al registrarse respondió a «trabaja con contador»: no.", "semantic"),
        ("user_onboarding_cuantos_anos_lleva", "Al registrarse respondió a «¿Cuántos años lleva?»: 3.", "semantic"),
        (
            "user_onboarding_business_monthly_sales",
            "Al registrarse respondió a «business monthly sales»: 1.5.",
            "semantic",
        ),
    ]


def test_answers_may_be_a_list_or_text() -> None:
    listed = [{"question": "¿Qué vende?", "answer": "Pan"}, {"question": "¿Dónde?"}, "noise", {"answer": "x"}]
    [told] = onboarding_memories("company", {"onboarding": listed})
    assert told == Statement(
        "company_onboarding_que_vende", "Al registrar la empresa se respondió a «¿Qué vende?»: Pan."
    )
    assert onboarding_memories("company", {"onboarding": '{"industry": "panadería"}'})[0].content.endswith(
        "«rubro»: panadería."
    )
    for odd in ("no json", 7, True, "[1, 2]"):
        assert onboarding_memories("company", {"onboarding": odd}) == []


def test_what_is_set_says_how_to_behave() -> None:
    told = settings_memories(
        "user",
        {
            "settings": {
                "language": "es",
                "locale": "pt-BR",
                "tone": "friendly",
                "verbosity": "short",
                "timezone": "America/Santiago",
                "notifications": {"email": True, "sms": False},
                "dark_mode": True,
                "theme": "azul",
                "api_key": "s3cr3t",
                "session_token": "s3cr3t",
            }
        },
    )
    assert {one.slug.removeprefix("user_settings_"): (one.content, one.kind) for one in told} == {
        "language": ("Hay que responderle en español.", "procedural"),
        "locale": ("Hay que responderle en portugués (pt-BR).", "procedural"),
        "tone": ("Hay que hablarle con un tono cercano.", "procedural"),
        "verbosity": ("Hay que darle respuestas breves.", "procedural"),
        "timezone": ("Su zona horaria es America/Santiago.", "semantic"),
        "notifications_email": ("Quiere recibir avisos por correo electrónico.", "procedural"),
        "notifications_sms": ("No quiere recibir avisos por SMS.", "procedural"),
        "dark_mode": ("Tiene activada la opción «dark mode».", "semantic"),
        "theme": ("En sus ajustes, «theme» es: azul.", "semantic"),
    }


def test_any_key_makes_a_slug_that_is_one() -> None:
    odd = ["", "ñandú", "日本", "a" * 500, "A-b c", "🙂", "\ud800"]
    parts = [slug_part(key) for key in odd]
    assert len(set(parts)) == len(odd)
    assert slug_part("a" * 500) != slug_part("a" * 499)
    for part in parts:
        check_memory(NewMemory(f"user_settings_{part}", "x", NOW))


def said(content: str | None, *, at: datetime = BEFORE, stands: bool = True) -> Said:
    return Said(content, "semantic", at, stands)


def asserted(row: dict[str, Any], before: dict[str, Said], owner_type: OwnerType = "user") -> dict[str, Any]:
    memories = assertions(owner_type, row, before, now=NOW, run_id="run")
    assert {(memory.made_by, memory.run_id) for memory in memories} <= {("row", "run")}
    return {memory.slug: (memory.content, memory.asserted_at) for memory in memories}


ROW = {"phone": "555", "updated_at": OLD.isoformat()}
PHONE = "Su número de teléfono es 555."


def test_what_is_new_or_changed_is_asserted_at_the_rows_own_time() -> None:
    assert asserted(ROW, {}) == {"user_phone": (PHONE, OLD)}
    assert asserted(ROW, {"user_phone": said("Su número de teléfono es 444.")}) == {"user_phone": (PHONE, OLD)}
    assert asserted({"phone": "555"}, {}) == {"user_phone": (PHONE, NOW)}
    assert asserted(ROW | {"updated_at": "2026-01-01T00:00:00"}, {}) == {"user_phone": (PHONE, OLD)}
    assert asserted(ROW | {"updated_at": "yesterday"}, {}) == {"user_phone": (PHONE, NOW)}


def test_what_the_row_said_before_is_not_asserted_again() -> None:
    for stands in (True, False):
        assert asserted(ROW, {"user_phone": said(PHONE, stands=stands)}) == {}


def test_a_row_that_changed_without_its_time_is_asserted_now() -> None:
    before = said("Su número de teléfono es 444.", at=OLD)
    assert asserted(ROW, {"user_phone": before}) == {"user_phone": (PHONE, NOW)}


def test_a_cleared_field_ends_what_the_row_said_and_nothing_else() -> None:
    cleared = ROW | {"phone": " "}
    assert asserted(cleared, {"user_phone": said(PHONE)}) == {"user_phone": (None, OLD)}
    assert asserted(cleared, {"user_phone": said(PHONE, stands=False)}) == {}
    assert asserted(cleared, {"user_phone": said(None)}) == {}
    assert asserted({"updated_at": OLD.isoformat()}, {"user_phone": said(PHONE)}) == {}


def test_a_key_that_is_gone_ends_its_memory_where_the_column_stands() -> None:
    before = {"user_settings_tone": said("Hay que hablarle con un tono formal.")}
    assert asserted({"settings": {}}, before) == {"user_settings_tone": (None, NOW)}
    assert asserted({"settings": None}, before) == {"user_settings_tone": (None, NOW)}
    assert asserted({}, before) == {}
    assert asserted({"onboarding": {}}, before) == {}


def test_the_columns_that_are_read_are_those_that_say_something() -> None:
    assert columns_of("user") == ["full_name", "email", "phone", "role", "onboarding", "settings", "updated_at"]
    assert statements("user", {"id": "1", "password_hash": "x", "rut": "1-9"}) == {}


@pytest.mark.parametrize(
    "key",
    ["clave", "clave_sii", "Clave Tributaria", "sii_clave", "pwd", "cvv", "pinCode", "userPin", "accessKey", "apiKey"],
)
def test_what_is_secret_by_its_name_is_no_memory(key: str) -> None:
    assert onboarding_memories("company", {"onboarding": {key: "hunter2"}}) == []
    assert settings_memories("user", {"settings": {key: "hunter2"}}) == []


def test_key_words_are_no_secret() -> None:
    assert len(onboarding_memories("company", {"onboarding": {"palabras_clave": "pan, queso", "shopping": "si"}})) == 2


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (38123.45, "38123.45"),
        (1234567.89, "1234567.89"),
        (1500000.0, "1500000"),
        (0.1, "0.1"),
        (-2.5, "-2.5"),
        (0.0, "0"),
    ],
)
def test_a_number_is_told_as_it_is(value: float, said: str) -> None:
    assert worded(value) == said
