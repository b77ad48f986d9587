"""Whether one tenant really cannot see another's rows: it is asked as a tenant, in a transaction as ours are."""

from sqlalchemy import text

from services.cli.checks.check import Check, judged
from services.domain.errors import TransientError
from services.postgres.database import Database, Tenant

_TABLES = text("""
    select relname, row_security_active(oid) and relforcerowsecurity
    from pg_class where relkind in ('r', 'p') and relnamespace = current_schema()::regnamespace
    and has_table_privilege(current_user, oid, 'select')
    order by relname
""")
_ROLES = text("""
    select rolname, rolsuper, rolbypassrls, rolname = session_user from pg_roles
    where rolname in (session_user, 'afterturn_system', 'afterturn_tenant') order by rolname
""")
# It holds the names of models.
_OPEN_TO_ALL = {"embedding_models"}


async def check_row_security(database: Database, *, on_this_machine: bool) -> list[Check]:
    try:
        async with database.transaction(Tenant()) as session:
            tables = {name: bool(guarded) for name, guarded in (await session.execute(_TABLES)).all()}
            roles = [tuple(row) for row in (await session.execute(_ROLES)).all()]
    except TransientError as error:
        # Without the schema there are no roles either, which another check tells.
        return [Check("Postgres: row-level security", "not checkable", str(error))]
    return [_guarded(tables), _roles(roles), _login(roles, on_this_machine=on_this_machine)]


def _guarded(tables: dict[str, bool]) -> Check:
    bare = sorted(name for name, guarded in tables.items() if not guarded and name not in _OPEN_TO_ALL)
    return judged(
        "Postgres: row-level security",
        good=bool(tables) and not bare,
        detail=f"not in force on {', '.join(bare) or 'any table'}" if bare or not tables else "in force for tenants",
        cure="; ".join(f"alter table {name} enable row level security, force row level security" for name in bare)
        or "run `afterturn db upgrade`",
    )


def _roles(roles: list[tuple[str, bool, bool, bool]]) -> Check:
    exempt = [name for name, is_super, bypasses, is_login in roles if (is_super or bypasses) and not is_login]
    return judged(
        "Postgres: roles",
        good=not exempt,
        detail=f"exempt from row-level security: {', '.join(exempt)}" if exempt else "none is exempt",
        cure="; ".join(f"alter role {name} nosuperuser nobypassrls" for name in exempt),
    )


def _login(roles: list[tuple[str, bool, bool, bool]], *, on_this_machine: bool) -> Check:
    """Every transaction gives the login's rights up; on a server for several, there should be none to give up."""
    exempt = any((is_super or bypasses) and is_login for _, is_super, bypasses, is_login in roles)
    login = next((name for name, _, _, is_login in roles if is_login), "unknown")
    if exempt and on_this_machine:
        return Check("Postgres: login", "ok", f"{login} is a superuser, by a socket of this machine alone")
    return judged(
        "Postgres: login",
        good=not exempt,
        detail=f"{login} is {'exempt from row-level security' if exempt else 'not exempt'}",
        cure="log in by DATABASE_URL as a role that is neither superuser nor bypassrls and may become "
        "afterturn_system and afterturn_tenant",
    )
