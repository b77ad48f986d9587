"""Any setting may stand in a file that `{NAME}_FILE` names."""

import os
from pathlib import Path

import pytest
from afterturn_client.connecting import Addresses
from afterturn_client.errors import InvalidFieldError

from services.cli.stack_addresses import named_servers, use
from services.domain.errors import InvalidInputError
from services.setting_files import with_values
from services.settings import (
    BufferSettings,
    DatabaseSettings,
    Mem0Settings,
    ModelSettings,
    ProxySettings,
    RedisSettings,
    load,
    read_dot_env,
)

KEYS = ("LLM_PROXY_API_KEY", "AFTERTURN_API_KEY", "AFTERTURN_API_URL")
URLS = {"DATABASE_URL", "DATABASE_URL_FILE"}
SECRET = "postgresql://afterturn:hidden@db/afterturn"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, and an environment that names no servers."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "DATABASE_URL",
        "DATABASE_URL_FILE",
        "REDIS_URL",
        "TEMPORAL_ADDRESS",
        "LLM_PROXY_URL",
        "MEM0_API_KEY",
        *KEYS,
    ):
        # Set first, so that what the test sets is taken back, too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    return tmp_path


def test_the_file_has_the_value_without_the_lines_end(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL_FILE", str(here / "secret"))
    assert load(DatabaseSettings).database_url == SECRET


def test_it_holds_in_every_class_and_is_checked_as_ever(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("key", " a key "), ("redis", "rediss://cache:6379/0\r\n"), ("size", "many")):
        (here / name).write_text(value)
    monkeypatch.setenv("LLM_PROXY_API_KEY_FILE", "key")
    monkeypatch.setenv("MEM0_API_KEY_FILE", "key")
    monkeypatch.setenv("REDIS_URL_FILE", "redis")
    monkeypatch.setenv("BATCH_SIZE_FILE", "size")
    assert load(ModelSettings).proxy_key == load(ProxySettings).proxy_key == " a key "
    key = load(Mem0Settings).mem0_api_key
    assert key is not None
    assert key.get_secret_value() == " a key "
    assert load(RedisSettings).redis_url == "rediss://cache:6379/0"
    with pytest.raises(InvalidInputError, match=r"^BATCH_SIZE: takes .*integer"):
        load(BufferSettings)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"  \n", b"\xff\xfe"], ids=repr)
def test_a_file_that_is_missing_empty_or_no_text_is_named(
    here: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    if content is not None:
        (here / "other").write_bytes(content)
    monkeypatch.setenv("DATABASE_URL_FILE", str(here / "other"))
    with pytest.raises(InvalidInputError) as failure:
        load(DatabaseSettings)
    assert failure.value.field == "DATABASE_URL_FILE"


def test_a_folder_is_no_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL_FILE", str(here))
    with pytest.raises(InvalidInputError, match=r"^DATABASE_URL_FILE: "):
        load(DatabaseSettings)


def test_both_are_an_error_that_quotes_neither(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", SECRET)
    monkeypatch.setenv("DATABASE_URL_FILE", str(here / "secret"))
    with pytest.raises(InvalidInputError) as failure:
        load(DatabaseSettings)
    assert failure.value.field == "DATABASE_URL_FILE"
    assert "hidden" not in str(failure.value)


def test_an_empty_variable_is_none(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose sets what its file mentions, though it be to nothing."""
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("DATABASE_URL_FILE", str(here / "secret"))
    assert load(DatabaseSettings).database_url == SECRET


@pytest.mark.parametrize("all_of_it", [False, True], ids=["settings alone", "programs, which read .env at their start"])
def test_the_environment_stands_above_the_env_file(
    here: Path, monkeypatch: pytest.MonkeyPatch, *, all_of_it: bool
) -> None:
    (here / ".env").write_text("DATABASE_URL=postgresql://other/other\n")
    monkeypatch.setenv("DATABASE_URL_FILE", str(here / "secret"))
    if all_of_it:
        read_dot_env()
    assert load(DatabaseSettings).database_url == SECRET
    monkeypatch.delenv("DATABASE_URL_FILE")
    monkeypatch.setenv("DATABASE_URL", "postgresql://third/third")
    (here / ".env").write_text(f"DATABASE_URL_FILE={here / 'nowhere'}\n")
    if all_of_it:
        read_dot_env()
    assert load(DatabaseSettings).database_url == "postgresql://third/third"


def test_the_env_file_may_name_files(here: Path) -> None:
    (here / ".env").write_text(f"DATABASE_URL_FILE={here / 'secret'}\n")
    assert load(DatabaseSettings).database_url == SECRET
    (here / ".env").write_text(f"DATABASE_URL_FILE={here / 'secret'}\nDATABASE_URL=postgresql://other/other\n")
    with pytest.raises(InvalidInputError, match=r"^DATABASE_URL_FILE: "):
        load(DatabaseSettings)


def test_the_client_reads_files_too(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "key").write_text("at_key\n")
    (here / "redis").write_text("rediss://:hidden@cache:6379/0\n")
    monkeypatch.setenv("AFTERTURN_API_KEY_FILE", "key")
    monkeypatch.setenv("REDIS_URL_FILE", "redis")
    assert Addresses.found(None, None, None) == Addresses("rediss://:hidden@cache:6379/0", None, "at_key")
    monkeypatch.setenv("REDIS_URL", "redis://other:6379/0")
    with pytest.raises(InvalidFieldError, match=r"^REDIS_URL_FILE: "):
        Addresses.found(None, None, None)


def test_what_a_stack_is_pointed_at_stands_above_files_that_the_environment_names(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL_FILE", str(here / "secret"))
    assert named_servers() == ["DATABASE_URL"]
    assert with_values(os.environ, {"DATABASE_URL": "postgresql://stack/stack"}).keys() & URLS == {"DATABASE_URL"}
    use({"DATABASE_URL": "postgresql://stack/stack"})
    assert load(DatabaseSettings).database_url == "postgresql://stack/stack"
