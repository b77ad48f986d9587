"""Every server behind TLS that asks for a certificate: what settings say is enough, and nothing goes in the clear."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import pytest
from afterturn_client.memory_client import MemoryClient
from afterturn_client.redis_connection import REDIS_ERRORS
from sqlalchemy.engine import make_url

from services import temporal
from services.domain.errors import AfterturnError, InvalidInputError, TransientError
from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.embedded.temporal_server import TemporalServer
from services.postgres.api.keys import ApiKeys
from services.postgres.database import Database
from services.postgres.migrate import is_current
from services.resources import open_resources
from services.worker.run import running_workers
from tests.support.certificates import Authority, Certificate
from tests.support.main_job import RECORD_SECONDS
from tests.support.rooms import until_digested
from tests.support.tls_way import TlsWay, tls_way


@dataclass(frozen=True)
class Ways:
    """One to each server; `ours` is believed there, `strange` is of another authority."""

    redis: TlsWay
    postgres: TlsWay
    temporal: TlsWay
    authority: Authority
    ours: Certificate
    strange: Certificate

    def settings(self, database: str, root: Path, shown: Certificate | None) -> dict[str, str]:
        files = {"sslrootcert": str(root)}
        redis_files = {"ssl_ca_certs": str(root)}
        temporal_files = {"SERVER_CA_CERT": root}
        if shown:
            files |= {"sslcert": str(shown.path), "sslkey": str(shown.key_path)}
            redis_files |= {"ssl_certfile": str(shown.path), "ssl_keyfile": str(shown.key_path)}
            temporal_files |= {"CLIENT_CERT": shown.path, "CLIENT_KEY": shown.key_path}
        of_postgres = urlencode({"sslmode": "verify-full", **files})
        return {
            "DATABASE_URL": f"postgresql://postgres@localhost:{self.postgres.port}/{database}?{of_postgres}",
            "REDIS_URL": f"rediss://localhost:{self.redis.port}/0?{urlencode(redis_files)}",
            "TEMPORAL_ADDRESS": f"localhost:{self.temporal.port}",
            **{f"TEMPORAL_TLS_{name}_PATH": str(path) for name, path in temporal_files.items()},
        }


@pytest.fixture
async def ways(
    tmp_path: Path, redis_server: RedisServer, postgres_server: PostgresServer, temporal_server: TemporalServer
) -> AsyncIterator[Ways]:
    authority, other = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    socket = str(postgres_server.socket_folder / ".s.PGSQL.5432")
    to_redis = tls_way(authority, partial(asyncio.open_connection, "127.0.0.1", redis_server.port))
    to_postgres = tls_way(authority, partial(asyncio.open_unix_connection, socket), is_postgres=True)
    to_temporal = tls_way(authority, partial(asyncio.open_connection, "127.0.0.1", temporal_server.port))
    async with AsyncExitStack() as stack:
        for way in (to_redis, to_postgres, to_temporal):
            await stack.enter_async_context(way.running())
        yield Ways(to_redis, to_postgres, to_temporal, authority, authority.issue("client"), other.issue("stranger"))


async def test_a_turn_is_digested_over_tls_alone(
    environment: None, database_url: str, ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ways.settings(make_url(database_url).database or "", ways.authority.root, ways.ours).items():
        monkeypatch.setenv(name, value)
    async with open_resources() as resources, running_workers(), MemoryClient.connect(seconds=RECORD_SECONDS) as memory:
        await memory.record_turn("user:ana", user="I moved to Lima.", assistant="Noted.")
        await until_digested(resources, "user:ana", 2)
        assert memory.waker is not None
        assert memory.waker.failed == 0
        assert resources.memory_store is not None
        # By the other driver.
        assert (await resources.memory_store.reconcile(None, limit=10)).drift == 0
    assert min(ways.redis.carried, ways.postgres.carried, ways.temporal.carried) > 0


@pytest.mark.parametrize("wrong", ["a server of another authority", "no certificate", "a certificate of another"])
async def test_neither_side_believes_a_stranger(
    wrong: str, environment: None, database_url: str, ways: Ways, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "others.crt" if wrong.startswith("a server") else ways.authority.root
    shown = {"no certificate": None, "a certificate of another": ways.strange}.get(wrong, ways.ours)
    for name, value in ways.settings(make_url(database_url).database or "", root, shown).items():
        monkeypatch.setenv(name, value)
    async with open_resources() as resources:
        with pytest.raises(REDIS_ERRORS):
            await resources.redis.ping()
        with pytest.raises(TransientError):
            await ApiKeys(resources.database).any_made()
        assert resources.memory_store is not None
        with pytest.raises(TransientError):
            await resources.memory_store.reconcile(None, limit=10)
        with pytest.raises(RuntimeError):
            await temporal.connect()
    assert ways.redis.carried == ways.postgres.carried == ways.temporal.carried == 0


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "nowhere.crt"),
        ("TEMPORAL_TLS_CLIENT_KEY_PATH", "nowhere.key"),
        ("TEMPORAL_API_KEY_FILE", "nowhere"),
        ("TEMPORAL_CONFIG_FILE", "nowhere.toml"),
    ],
)
async def test_a_file_that_is_missing_is_named(
    variable: str, value: str, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidInputError, match=rf"^{variable}: "):
        await temporal.connect()


@pytest.mark.parametrize(("profile", "key"), [("default", 'hidden"'), ("nobodys", '"hidden"')])
async def test_a_profile_that_cannot_be_read_is_told_without_what_it_holds(
    profile: str, key: str, environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporal.toml").write_text(f"[profile.default]\napi_key = {key}\n")
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "temporal.toml"))
    monkeypatch.setenv("TEMPORAL_PROFILE", profile)
    with pytest.raises(InvalidInputError, match=r"^TEMPORAL_CONFIG_FILE: ") as failure:
        await temporal.connect()
    assert "hidden" not in str(failure.value)


async def test_an_api_key_from_a_file_is_sent_by_tls(
    environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("the-key-of-the-cloud\n")
    monkeypatch.setenv("TEMPORAL_API_KEY_FILE", str(tmp_path / "key"))
    connection = (await temporal.connect(lazy=True)).service_client.config
    assert (connection.api_key, bool(connection.tls)) == ("the-key-of-the-cloud", True)


@pytest.mark.parametrize(
    ("options", "takes"),
    [
        ("sslmode=verify-full&sslrootcert=/nowhere/ca.crt", "the path of a file as sslrootcert"),
        ("sslmode=require&channel_binding=require", "channel_binding"),
        ("sslmodus=require", "no option sslmodus: .*sslmode"),
    ],
)
async def test_what_the_database_url_cannot_mean_ends_the_start(options: str, takes: str) -> None:
    url = f"postgresql://somebody:hidden@127.0.0.1:1/afterturn?{options}"
    with pytest.raises(InvalidInputError, match=rf"^DATABASE_URL: takes .*{takes}") as failure:
        async with Database.open(url):
            pass
    assert "hidden" not in str(failure.value)
    with pytest.raises(AfterturnError):
        await is_current(url)
