"""The parts of the open-source store that need no server."""

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from services.domain.errors import (
    AfterturnError,
    InvalidInputError,
    MemoryStoreUnavailableError,
    OwnerUnknownError,
    PermanentError,
)
from services.domain.memories import Owner, brain_id, owner_of
from services.mem0_store.failures import translated
from services.mem0_store.opening import is_mem0_configured
from services.mem0_store.payloads import Remembered, is_ours, payload_of
from services.mem0_store.quiet_import import before_mem0
from services.postgres.server_url import psycopg_url
from services.settings import Mem0Settings, load

ANA = owner_of("user", "ana")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "Ana's secret"


def remembered(**more: Any) -> Remembered:
    given: dict[str, Any] = {"slug": "user_city", "content": "Vive en Lima", "kind": "semantic", "metadata": {}}
    return Remembered(owner=ANA, entity_id="12345678k", **{**given, **more})


def test_a_payload_has_all_that_mem0_and_we_look_for() -> None:
    memory = remembered(metadata={"sure": True})
    payload = payload_of(memory, created_at=None, now=NOW)
    assert payload == {
        "sure": True,
        "owner_type": "user",
        "owner_id": str(ANA.id),
        "slug": "user_city",
        "kind": "semantic",
        "brain_id": str(brain_id(ANA, "user_city")),
        "user_id": "12345678k",
        "role": "user",
        "data": "Vive en Lima",
        "hash": "36c2c110be8c935680923810de2686a4",
        "text_lemmatized": "Vive en Lima",
        "created_at": NOW.isoformat(),
        "updated_at": NOW.isoformat(),
    }
    assert memory.is_in(payload)
    assert memory.is_in({**payload, "updated_at": "later", "note": "by somebody else"})


@pytest.mark.parametrize("name", ["data", "user_id", "owner_id", "slug", "kind", "brain_id", "created_at", "sure"])
def test_a_payload_that_lacks_anything_is_another(name: str) -> None:
    memory = remembered(metadata={"sure": True})
    payload = payload_of(memory, created_at=None, now=NOW)
    assert not memory.is_in({key: value for key, value in payload.items() if key != name})
    assert not memory.is_in({**payload, name: ""})


def test_metadata_never_hides_what_is_mem0s_or_ours() -> None:
    plain = payload_of(remembered(), created_at=None, now=NOW)
    sly = dict.fromkeys([*plain, "id", "agent_id", "run_id", "actor_id", "attributed_to", "expiration_date"], "sly")
    assert payload_of(remembered(metadata=sly), created_at=None, now=NOW) == plain


def test_ours_is_what_carries_the_brain_id_of_its_owner_and_slug() -> None:
    payload = payload_of(remembered(), created_at=None, now=NOW)
    id_ = brain_id(ANA, "user_city")
    assert is_ours(id_, payload)
    assert is_ours(uuid4(), payload)
    assert is_ours(id_, {"brain_id": str(id_)})
    assert not is_ours(id_, {})
    assert not is_ours(uuid4(), {**payload, "owner_id": str(uuid4())})
    assert not is_ours(uuid4(), {**payload, "owner_type": "company"})
    assert not is_ours(uuid4(), {**payload, "slug": "other"})


@pytest.mark.parametrize(
    ("raised", "becomes", "told"),
    [
        (
            lambda: OperationalError(SECRET, {}, psycopg.errors.AdminShutdown(SECRET)),
            MemoryStoreUnavailableError,
            "57P01",
        ),
        (lambda: psycopg.errors.UniqueViolation(SECRET), MemoryStoreUnavailableError, "23505"),
        (lambda: PoolTimeoutError(SECRET), MemoryStoreUnavailableError, "Postgres"),
        (lambda: OSError(SECRET), MemoryStoreUnavailableError, "Postgres"),
        (lambda: ValueError(SECRET), MemoryStoreUnavailableError, "Mem0: ValueError"),
        (lambda: DataError(SECRET, {}, psycopg.errors.UntranslatableCharacter(SECRET)), PermanentError, "22P05"),
        (lambda: psycopg.DataError(SECRET), PermanentError, "DataError"),
        (lambda: UnicodeEncodeError("utf-8", SECRET, 0, 1, SECRET), PermanentError, "UnicodeEncodeError"),
        (lambda: OwnerUnknownError("who"), OwnerUnknownError, "who"),
    ],
)
def test_every_error_becomes_ours_and_quotes_nothing(
    raised: Callable[[], Exception], becomes: type[AfterturnError], told: str
) -> None:
    with pytest.raises(becomes) as failure, translated():
        raise raised()
    assert type(failure.value) is becomes
    assert told in str(failure.value)
    assert "secret" not in str(failure.value)
    assert failure.value.__cause__ is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://u:p@h:5/d", "postgresql+psycopg://u:p@h:5/d"),
        ("postgres://h/d", "postgresql+psycopg://h/d"),
        ("postgresql+asyncpg://h/d?ssl=require", "postgresql+psycopg://h/d?sslmode=require"),
        ("postgresql://postgres@/d?host=%2Ftmp%2Fpg", "postgresql+psycopg://postgres@/d?host=%2Ftmp%2Fpg"),
    ],
)
def test_one_url_serves_both_drivers(given: str, expected: str) -> None:
    assert psycopg_url(given).render_as_string(hide_password=False) == expected


@pytest.fixture
def somebodys_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MEM0_DIR", "MEM0_TELEMETRY", "TMPDIR", "OPENROUTER_API_KEY"):
        monkeypatch.setenv(name, "of-somebody-else")
    monkeypatch.setenv("MEM0_DIR", str(tmp_path / "a" / "b"))


def test_mem0_is_told_to_be_quiet_before_it_is_imported(somebodys_environment: None, tmp_path: Path) -> None:
    before_mem0()
    before_mem0()
    assert os.environ["MEM0_TELEMETRY"] == "False"
    assert (tmp_path / "a" / "b").is_dir()
    assert os.environ["OPENROUTER_API_KEY"] == "of-somebody-else"
    assert not logging.getLogger("mem0.vector_stores.pgvector").isEnabledFor(logging.CRITICAL)


def test_a_folder_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MEM0_DIR", str(tmp_path / "file" / "below"))
    with pytest.raises(InvalidInputError, match="MEM0_DIR: takes a folder"):
        before_mem0()


@pytest.mark.parametrize(
    ("backend", "key", "configured"),
    [("", "", False), ("open_source", "", True), ("", "m0-key", True), ("platform", "m0-key", True)],
)
def test_mem0_is_configured_where_a_back_end_is_named(
    monkeypatch: pytest.MonkeyPatch, backend: str, key: str, *, configured: bool
) -> None:
    monkeypatch.setenv("MEM0_BACKEND", backend)
    monkeypatch.setenv("MEM0_API_KEY", key)
    assert is_mem0_configured(load(Mem0Settings)) is configured


@pytest.mark.parametrize(
    ("variables", "field", "takes"),
    [
        ({"MEM0_BACKEND": "platform"}, "MEM0_API_KEY", "MEM0_BACKEND is platform"),
        ({"MEM0_BACKEND": "both"}, "MEM0_BACKEND", "'open_source' or 'platform'"),
        ({"MEM0_HOST": "api.mem0.ai"}, "MEM0_HOST", "https?"),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], field: str, takes: str
) -> None:
    monkeypatch.setenv("MEM0_API_KEY", "")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInputError) as failure:
        load(Mem0Settings)
    assert failure.value.field == field
    assert takes in failure.value.takes


def test_ids_of_other_owners_never_meet() -> None:
    same = UUID(int=1)
    assert brain_id(Owner("user", same), "a") != brain_id(Owner("company", same), "a")
