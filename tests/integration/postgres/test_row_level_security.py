"""Promise 9 where Postgres keeps it: one tenant cannot see or write what is another's."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from services.domain.errors import TransientError
from services.domain.ids import message_uid
from services.domain.memories import Owner, brain_id
from services.postgres.database import ASSUME, Database, Tenant, role_settings
from services.postgres.server_url import driver_url
from tests.support.tenants import ACME, ANA, BEN, GLOBEX, OWNERS, Protected, fill, room_of

MEMBER, ADMIN = uuid4(), uuid4()
FORBIDDEN = "Postgres: InsufficientPrivilegeError (42501)"
# Who sees whose rows, and whose they may write.
SIGHTS: dict[Tenant, tuple[set[Owner], set[Owner]]] = {
    Tenant(): (set(), set()),
    Tenant.of(ANA): ({ANA}, {ANA}),
    Tenant.of(BEN): ({BEN}, {BEN}),
    Tenant.of(ACME): ({ACME}, {ACME}),
    Tenant(user_id=MEMBER): ({ACME}, set()),
    Tenant(user_id=MEMBER, company_id=ACME.id): ({ACME}, set()),
    Tenant(user_id=MEMBER, company_id=GLOBEX.id): (set(), set()),
    Tenant(user_id=ADMIN): ({ACME, GLOBEX}, set()),
    Tenant(user_id=ADMIN, company_id=ACME.id): ({ACME}, {ACME}),
    Tenant(user_id=BEN.id, company_id=ACME.id): ({BEN}, {BEN}),
    Tenant(user_id=ACME.id): (set(), set()),
    Tenant(company_id=ANA.id): (set(), set()),
}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url, pool_size=1) as opened:
        yield opened


@pytest.fixture
async def tables(database: Database, database_url: str) -> tuple[Protected, ...]:
    filled = await fill(database)
    # What belongs to whom must be known without the policies that are on trial.
    for copy, table in (("all_rooms", "rooms"), ("all_versions", "memory_versions"), ("all_values", "section_values")):
        await administer_in(database_url, f"create table {copy} as table {table}; grant select on {copy} to public")
    async with database.transaction() as session:
        for member in (MEMBER, ADMIN):
            await session.execute(text("insert into profiles (id) values (:id)"), {"id": member})
        for member, company, role in (
            (MEMBER, ACME, "member"),
            (ADMIN, ACME, "admin"),
            (ADMIN, GLOBEX, "member"),
        ):
            await session.execute(
                text("insert into company_members (company_id, user_id, role) values (:company, :member, :role)"),
                {"company": company.id, "member": member, "role": role},
            )
    return filled


def of(owners: set[Owner], table: Protected) -> set[str]:
    if table.name in ("user_brain", "company_brain"):
        owners = {owner for owner in owners if table.name.startswith(owner.type)}
    return {str(owner.id) for owner in owners}


async def owners_seen(session: AsyncSession, table: Protected) -> set[str]:
    return set(await session.scalars(text(f"select {table.owner} from {table.name}")))  # noqa: S608


async def test_the_roles_are_not_exempt_and_own_nothing(database: Database, tables: tuple[Protected, ...]) -> None:
    for tenant, name in ((None, "afterturn_system"), (Tenant(), "afterturn_tenant")):
        async with database.transaction(tenant) as session:
            row = (
                await session.execute(
                    text(
                        "select current_user, rolsuper, rolbypassrls, rolcanlogin from pg_roles "
                        "where rolname = current_user"
                    )
                )
            ).one()
            assert tuple(row) == (name, False, False, False)
            for table in tables:
                owner, enabled, forced = (
                    await session.execute(
                        text(
                            "select relowner::regrole::text, relrowsecurity, relforcerowsecurity "
                            "from pg_class where oid = cast(:name as regclass)"
                        ),
                        {"name": table.name},
                    )
                ).one()
                assert not owner.startswith("afterturn_")
                assert (enabled, forced) == (True, True)


async def test_every_table_with_something_to_hide_is_protected(
    database: Database, tables: tuple[Protected, ...]
) -> None:
    public = {"alembic_version", "embedding_models", "all_rooms", "all_versions", "all_values", "section_caches"}
    async with database.transaction() as session:
        open_to_tenants = set(
            await session.scalars(
                text(
                    "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' "
                    "and has_any_column_privilege('afterturn_tenant', oid, 'select,insert,update')"
                )
            )
        )
    assert open_to_tenants - public == {table.name for table in tables}


async def test_the_system_sees_all(database: Database, tables: tuple[Protected, ...]) -> None:
    async with database.transaction() as session:
        for table in tables:
            assert await owners_seen(session, table) == of(set(OWNERS), table)


async def test_a_tenant_sees_its_own(database: Database, tables: tuple[Protected, ...]) -> None:
    for tenant, (sees, writes) in SIGHTS.items():
        async with database.transaction(tenant) as session:
            for table in tables:
                expected = of(writes if table.name == "mem0_intents" else sees, table)
                assert await owners_seen(session, table) == expected, (tenant, table.name)


@pytest.mark.parametrize("verb", ["update", "delete"])
async def test_a_tenant_changes_only_its_own(database: Database, tables: tuple[Protected, ...], verb: str) -> None:
    for tenant, (_, writes) in SIGHTS.items():
        for table in tables:
            change = f"delete from {table.name}"  # noqa: S608
            if verb == "update":
                change = f"update {table.name} set {table.column} = {table.column}"  # noqa: S608
            if table.tenants_write:
                assert await changed_by(database, tenant, table, change) == of(writes, table), (tenant, table.name)
            else:
                assert await refusal_of(database, tenant, change) == FORBIDDEN, (tenant, table.name)


async def changed_by(database: Database, tenant: Tenant, table: Protected, change: str) -> set[str]:
    changed: set[str] = set()
    with suppress(UndoneError):
        async with database.transaction(tenant) as session:
            changed = set(await session.scalars(text(f"{change} returning {table.owner}")))
            raise UndoneError
    return changed


async def refusal_of(
    database: Database, tenant: Tenant, statement: str, given: Mapping[str, object] | None = None
) -> str:
    """Say why a statement was refused; nothing, if it was not."""
    try:
        async with database.transaction(tenant) as session:
            await session.execute(text(statement), given or {})
            await session.rollback()
    except (TransientError, IntegrityError) as error:
        return str(error)
    return ""


class UndoneError(Exception):
    """Ends a transaction that must leave nothing behind."""


FORGERIES = {
    "user_brain": "insert into user_brain (id, user_id, memory_id, slug, content) "
    "values (gen_random_uuid(), :user, 'm', 'forged', 'x')",
    "company_brain": "insert into company_brain (id, company_id, memory_id, slug, content) "
    "values (gen_random_uuid(), :company, 'm', 'forged', 'x')",
    "a person's version": "insert into memory_versions (id, brain_id, user_id, slug, kind, content, language, "
    "asserted_at, repeats, is_current, made_by) values "
    "(gen_random_uuid(), :brain, :user, 'forged', 'semantic', 'x', 'english', now(), false, false, 'caller')",
    "a company's version": "insert into memory_versions (id, brain_id, company_id, slug, kind, content, language, "
    "asserted_at, repeats, is_current, made_by) values "
    "(gen_random_uuid(), :brain, :company, 'forged', 'semantic', 'x', 'english', now(), false, false, 'caller')",
    "memory_sources": "insert into memory_sources "
    "select cast(:version as uuid), uid from afterturn_archived(array[cast(:uid as uuid)]) as uid",
    "mem0_intents": "insert into mem0_intents (brain_id, action, owner_type, owner_id, slug) "
    "values (gen_random_uuid(), 'delete', 'user', :user, 'forged')",
    "Mem0's": "insert into {memories} values (gen_random_uuid(), '[1,0]', "
    "jsonb_build_object('owner_type', 'user', 'owner_id', cast(cast(:user as uuid) as text)))",
    "a company's in Mem0": "insert into {memories} values (gen_random_uuid(), '[1,0]', "
    "jsonb_build_object('owner_type', 'company', 'owner_id', cast(cast(:company as uuid) as text)))",
    "nobody's in Mem0": "insert into {memories} values (gen_random_uuid(), '[1,0]', '{}')",
    "vectors": "insert into {vectors} (item_id, kind, embedding) values (:version, 'memory', '[1,0]') "
    "on conflict (item_id) do update set embedding = excluded.embedding",
    "a message's vector": "insert into {vectors} (item_id, kind, room_id, embedding) values "
    "(gen_random_uuid(), 'message', 'user:ben', '[1,0]')",
    "a room": "insert into rooms (id, owner_type, owner_id) values ('room:forged', 'user', :user)",
    "who belongs to whom": "insert into company_members (company_id, user_id) values (:company, :myself)",
    "a person's profile": "select known from afterturn_know_owner('user', :user, null)",
    "a company's": "select known from afterturn_know_owner('company', :company, null)",
    "a fact": "insert into section_values (id, owner_type, owner_id, section, namespace, key, value, is_compressed, "
    "raw_size) values (gen_random_uuid(), 'user', :user, 'facts', 'default', 'forged', '1', false, 1)",
    "a fact handed over": "update section_values set owner_type = 'company', owner_id = :company",
    "a command": "insert into section_commands (id, owner_type, owner_id, namespace, of_owner, value, is_compressed, "
    "raw_size) values (gen_random_uuid(), 'company', :company, 'default', gen_random_uuid(), '1', false, 1)",
    "a fact's vector": "insert into section_vectors (value_id, model, version, embedding) "
    "select id, 'forged', 1, '[1,0]' from all_values where owner_id = :user",
    "an epoch": "update section_caches set state = 'open'",
    "a table": "select afterturn_make_vectors('forged', 2, 'embeddings_forged')",
    "a person's row handed over": "update user_brain set user_id = :user",
    "a person's version handed over": "update memory_versions set user_id = :user, company_id = null",
    "a company's version handed over": "update memory_versions set company_id = :company, user_id = null",
    "a memory handed over in Mem0": "update {memories} set payload = payload || "
    "jsonb_build_object('owner_id', cast(cast(:user as uuid) as text))",
}


@pytest.mark.parametrize("myself", [ANA, ACME], ids=str)
async def test_nothing_can_be_written_in_anothers_name(
    database: Database, tables: tuple[Protected, ...], myself: Owner
) -> None:
    given = {
        "user": BEN.id,
        "company": GLOBEX.id,
        "brain": brain_id(BEN, "secret"),
        "version": await version_of(database, BEN),
        "uid": message_uid(room_of(BEN), "m1"),
        "myself": myself.id,
    }
    for name, forgery in FORGERIES.items():
        if (name, myself) == ("a person's row handed over", ACME):
            continue  # a company has no such row
        statement = forgery.replace("{memories}", tables[-2].name).replace("{vectors}", tables[-1].name)
        wanted = {name: value for name, value in given.items() if f":{name}" in statement}
        assert await refusal_of(database, Tenant.of(myself), statement, wanted) == FORBIDDEN, name


async def version_of(database: Database, owner: Owner) -> UUID:
    async with database.transaction() as session:
        wanted = text("select id from memory_versions where brain_id = :brain")
        found: UUID = (await session.execute(wanted, {"brain": brain_id(owner, "secret")})).scalar_one()
    return found


async def test_a_pool_of_one_connection_never_hands_on_a_callers_rights(
    database: Database, tables: tuple[Protected, ...]
) -> None:
    dice = random.Random(11)
    brain = next(table for table in tables if table.name == "memory_versions")
    ends: list[Ending] = [commits, rolls_back, fails, breaks_a_constraint, is_cancelled]

    async def visit(tenant: Tenant | None, end: Ending) -> None:
        expected = set(OWNERS) if tenant is None else SIGHTS[tenant][0]
        with suppress(UndoneError, TransientError, IntegrityError, asyncio.CancelledError):
            async with database.transaction(tenant) as session:
                assert await owners_seen(session, brain) == of(expected, brain)
                await end(session)

    visits = [(tenant, end) for tenant in (*SIGHTS, None) for end in ends]
    dice.shuffle(visits)
    for visit_ in visits:
        await visit(*visit_)
    await asyncio.gather(*(visit(*visit_) for visit_ in visits))


async def test_what_a_transaction_assumed_ends_with_it(database_url: str, tables: tuple[Protected, ...]) -> None:
    engine = create_async_engine(
        driver_url(database_url), pool_size=1, max_overflow=0, connect_args={"command_timeout": 30}
    )
    asked = text("select current_user = session_user, current_setting('afterturn.user_id', true), afterturn_user()")
    async with engine.connect() as connection:
        await connection.execute(ASSUME, role_settings(Tenant.of(ANA)))
        assert tuple((await connection.execute(asked)).one()) == (False, str(ANA.id), ANA.id)
        await connection.commit()
        assert tuple((await connection.execute(asked)).one()) == (True, "", None)
    await engine.dispose()


Ending = Callable[[AsyncSession], Awaitable[None]]


async def commits(session: AsyncSession) -> None:
    await session.execute(text("select 1"))


async def rolls_back(session: AsyncSession) -> None:
    await session.rollback()


async def fails(session: AsyncSession) -> None:
    await session.execute(text("select 1 / 0"))


async def breaks_a_constraint(session: AsyncSession) -> None:
    await session.execute(text("insert into user_brain select * from user_brain"))
    raise UndoneError


async def is_cancelled(session: AsyncSession) -> None:
    raise asyncio.CancelledError


async def test_a_session_that_assumes_nothing_inherits_nothing(
    database_url: str, tables: tuple[Protected, ...]
) -> None:
    """A login that is no superuser is neither role until it says so, and an emptied setting names nobody."""
    await administer_in(database_url, LOGIN)
    connection = await asyncpg.connect(database_url, command_timeout=30)
    try:
        await connection.execute("set session authorization test_login")
        for table in tables:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"select 1 from {table.name}")  # noqa: S608
        await connection.execute("set role afterturn_tenant")
        await connection.execute("set afterturn.user_id = ''")
        await connection.execute("set afterturn.company_id = ''")
        for table in tables:
            assert await connection.fetch(f"select 1 from {table.name}") == []  # noqa: S608
        await connection.execute("set role afterturn_system")
        assert len(await connection.fetch("select 1 from user_brain")) == 2
    finally:
        await connection.close()


# Roles belong to the whole server, and other tests run on it.
LOGIN = """
do $$ begin
  if not exists (select from pg_roles where rolname = 'test_login') then
    create role test_login;
    grant afterturn_system, afterturn_tenant to test_login with inherit false;
  end if;
end $$
"""


async def administer_in(database_url: str, statement: str) -> None:
    connection = await asyncpg.connect(database_url, command_timeout=30)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
