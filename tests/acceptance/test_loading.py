"""Rows of people and companies become memories, and stay in step with them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from activities.load_steps import CompaniesLoaded, OwnerLoaded, UsersLoaded
from services.domain.errors import InvalidInputError
from services.domain.memories import NewMemory, Owner
from services.resources import Resources
from tests.support.loads import BEGAN, add, change, load_all, load_one, owner_id, standing, versions
from tests.support.memories_kept import kept
from tests.support.openai_server import OpenAIServer, Status
from workflows.load_memories import LoadAllInput

LATER = BEGAN + timedelta(days=30)
ONE = owner_id(1)
NAME = "Su nombre completo es Persona 1."


async def test_a_row_becomes_memories_and_a_second_load_changes_nothing(
    resources: Resources, worker: None, model: OpenAIServer
) -> None:
    await add(resources, "company", 3)
    await add(resources, "user", 5)
    companies = await load_all(resources, "company")
    users = await load_all(resources, "user")
    assert (companies.state, users.state) == ("done", "done")
    assert companies.result == CompaniesLoaded(
        total_companies=3, loaded_companies=3, failed_companies=0, total_memories_created=12
    )
    assert users.result == UsersLoaded(total_users=5, loaded_users=5, failed_users=0, total_memories_created=20)
    assert await standing(resources, ONE, "company") == {
        "company_tax_regime": "El régimen tributario de la empresa es: Pro Pyme.",
        "company_activity": "La empresa se dedica a lo siguiente: Rubro 1.",
        "company_legal_representative": "La representación legal de la empresa la tiene Persona 1.",
        "company_start_date": "La empresa inició sus actividades el 1 de marzo de 2019.",
    }
    assert await standing(resources, ONE) == {
        "user_full_name": NAME,
        "user_email": "Su correo electrónico es p1@example.org.",
        "user_phone": "Su número de teléfono es +56 9 00000001.",
        "user_role": "Su función es: Contabilidad.",
    }
    assert (await kept(resources.database)).agrees()
    before, asked = await versions(resources), len(model.requests)
    again = await load_all(resources, "user")
    assert again.result == UsersLoaded(total_users=5, loaded_users=5, failed_users=0, total_memories_created=0)
    await change(resources, "update profiles set updated_at = :at", at=LATER)
    await load_all(resources, "user")
    assert await versions(resources) == before
    assert len(model.requests) == asked
    record = await resources.brain.get_by_user_and_slug(ONE, "user_full_name")
    assert record is not None
    assert (record.made_by, record.kind, record.asserted_at) == ("row", "semantic", BEGAN)


async def test_one_owner_is_loaded(resources: Resources, worker: None) -> None:
    await add(resources, "user", 2)
    await change(
        resources,
        "update profiles set onboarding = :onboarding, settings = :settings where id = :id",
        onboarding='{"goal": "ordenar mis cuentas", "step": 3}',
        settings='{"language": "es", "api_key": "s3cr3t"}',
        id=ONE,
    )
    assert (await load_one(resources, "user", ONE, dry_run=True)).result == OwnerLoaded(total_memories_created=6)
    assert await versions(resources) == []
    assert (await load_one(resources, "user", ONE)).result == OwnerLoaded(total_memories_created=6)
    told = await standing(resources, ONE)
    assert told["user_onboarding_goal"] == "Al registrarse respondió a «objetivo»: ordenar mis cuentas."
    assert told["user_settings_language"] == "Hay que responderle en español."
    assert len(told) == 6
    assert await standing(resources, owner_id(0)) == {}
    unknown = await load_one(resources, "company", ONE)
    assert (unknown.state, unknown.result) == ("failed", None)
    assert unknown.reason is not None
    assert "company_id" in unknown.reason


async def test_what_was_said_in_chat_since_is_not_overwritten_and_not_ended(resources: Resources, worker: None) -> None:
    await add(resources, "user", 2)
    await load_one(resources, "user", ONE)
    said = NewMemory("user_phone", "Her phone is 555.", LATER, made_by="model")
    await resources.memories.save(Owner("user", ONE), [said])
    # Touched for another reason, and later emptied: the row's own words only are the row's to change.
    await change(resources, "update profiles set updated_at = :at where id = :id", at=LATER + timedelta(days=1), id=ONE)
    assert (await load_one(resources, "user", ONE)).result == OwnerLoaded(total_memories_created=0)
    assert (await standing(resources, ONE))["user_phone"] == "Her phone is 555."
    await change(
        resources,
        "update profiles set phone = '', email = null, updated_at = :at where id = :id",
        at=LATER + timedelta(days=2),
        id=ONE,
    )
    await load_one(resources, "user", ONE)
    assert await standing(resources, ONE) == {
        "user_full_name": NAME,
        "user_phone": "Her phone is 555.",
        "user_role": "Su función es: Contabilidad.",
    }
    assert [version.content for version in await resources.brain.history(Owner("user", ONE), "user_email")] == [
        "Su correo electrónico es p1@example.org.",
        None,
    ]
    # A row that was really changed later than that is newer.
    await change(
        resources,
        "update profiles set phone = '777', email = 'new@example.org', updated_at = :at where id = :id",
        at=LATER + timedelta(days=3),
        id=ONE,
    )
    assert (await load_one(resources, "user", ONE)).result == OwnerLoaded(total_memories_created=2)
    told = await standing(resources, ONE)
    assert (told["user_phone"], told["user_email"]) == (
        "Su número de teléfono es 777.",
        "Su correo electrónico es new@example.org.",
    )
    assert (await kept(resources.database)).agrees()


async def test_an_old_row_is_history_where_a_newer_fact_is_known(resources: Resources, worker: None) -> None:
    await add(resources, "user", 2)
    said = NewMemory("user_phone", "Her phone is 555.", LATER, made_by="model")
    await resources.memories.save(Owner("user", ONE), [said])
    await load_one(resources, "user", ONE)
    assert (await standing(resources, ONE))["user_phone"] == "Her phone is 555."
    history = await resources.brain.history(Owner("user", ONE), "user_phone")
    assert [version.content for version in history] == ["Su número de teléfono es +56 9 00000001.", "Her phone is 555."]
    assert (await kept(resources.database)).agrees()


async def test_a_table_without_updated_at_asserts_what_changed_now(resources: Resources, worker: None) -> None:
    await add(resources, "user", 2)
    await change_as_host(resources, "alter table profiles drop column updated_at, drop column settings")
    began = datetime.now(UTC)
    await load_all(resources, "user")
    before = await versions(resources)
    await load_all(resources, "user")
    assert await versions(resources) == before
    await change(resources, "update profiles set phone = '777' where id = :id", id=ONE)
    await load_all(resources, "user")
    record = await resources.brain.get_by_user_and_slug(ONE, "user_phone")
    assert record is not None
    assert record.content == "Su número de teléfono es 777."
    assert record.asserted_at > began
    failed = await load_all(resources, "user", {"since": BEGAN})
    assert failed.state == "failed"
    assert failed.reason is not None
    assert "since" in failed.reason
    assert "profiles has no column updated_at" in failed.reason


async def change_as_host(resources: Resources, statement: str) -> None:
    """As the tables' owner, who is no role of ours."""
    async with resources.database.transaction() as session:
        await session.execute(text("reset role"))
        await session.execute(text(statement))


async def test_since_and_only_missing_choose_owners(resources: Resources, worker: None) -> None:
    await add(resources, "user", 10)
    await change(resources, "update profiles set updated_at = :at where id = :id", at=LATER, id=ONE)
    recent = await load_all(resources, "user", {"since": LATER - timedelta(seconds=1)})
    assert recent.result == UsersLoaded(total_users=1, loaded_users=1, failed_users=0, total_memories_created=4)
    dry = await load_all(resources, "user", {"only_missing": True, "dry_run": True})
    assert dry.result == UsersLoaded(total_users=9, loaded_users=9, failed_users=0, total_memories_created=36)
    missing = await load_all(resources, "user", {"only_missing": True, "batch_size": 2})
    assert missing.result == dry.result
    assert (await load_all(resources, "user", {"only_missing": True})).result == UsersLoaded()


async def test_an_owner_that_fails_is_counted_and_named_and_stops_nobody(
    resources: Resources, worker: None, model: OpenAIServer
) -> None:
    await add(resources, "user", 60)
    await change(resources, "update profiles set rut = 'no rut' where id = :id", id=ONE)
    await change(resources, "update profiles set full_name = repeat('x', 30000) where id = :id", id=owner_id(2))
    await change(resources, "update profiles set full_name = 'poison' where id = :id", id=owner_id(3))
    model.refuses = lambda request: Status(400) if "poison" in str(request) else None
    loaded = await load_all(resources, "user")
    assert loaded.state == "done"
    assert loaded.result == UsersLoaded(
        total_users=60, loaded_users=57, failed_users=3, total_memories_created=4 * 57 + 3 + 3
    )
    assert set(loaded.failed_ids) == {str(owner_id(number)) for number in (1, 2, 3)}
    assert (await kept(resources.database)).agrees()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"max_per_secnod": 5}, "max_per_secnod"),
        ({"batch_size": 0}, "batch_size"),
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"max_per_second": 0}, "max_per_second"),
    ],
)
async def test_a_wrong_field_fails_the_start_and_is_named(
    resources: Resources, worker: None, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError, match=field):
        await load_all(resources, "user", given)
    handle = await resources.temporal.start_workflow(
        "LoadAllUsersMemories", given, id="load-all-users-memories", task_queue="memory"
    )
    with pytest.raises(Exception, match="failed") as failure:
        await handle.result()
    assert field in str(failure.value.__cause__)


def test_a_start_needs_no_input() -> None:
    assert LoadAllInput() == LoadAllInput(batch_size=100)
