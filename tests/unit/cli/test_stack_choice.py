"""Which servers a command addresses."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.stack_addresses import find_running_stack, named_servers, use_running_stack
from services.embedded.addresses import StackAddresses, StackFiles
from services.settings import read_dot_env

STACK = StackAddresses(
    database_url="postgresql://postgres@/afterturn?host=/nowhere",
    redis_url="redis://127.0.0.1:6389/0",
    temporal_address="127.0.0.1:7233",
    temporal_ui_url="http://127.0.0.1:8233",
    llm_proxy_url="http://127.0.0.1:1",
)
VARIABLES = (
    *("DATABASE_URL", "REDIS_URL", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TEMPORAL_UI_URL", "LLM_PROXY_URL"),
    "MEM0_BACKEND",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in VARIABLES:
        # Set first, so that what the test sets is taken back, too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    deep = tmp_path / "project/deep/inside"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    return tmp_path / "project"


@pytest.fixture
async def stack(folder: Path) -> None:
    """A stack that is there as far as its files tell."""
    files = StackFiles(folder / ".afterturn")
    await files.claim()
    files.publish(STACK)


@pytest.fixture
def dead_stack(folder: Path) -> Iterator[None]:
    data = folder / ".afterturn"
    data.mkdir()
    (data / "stack.json").write_text(STACK.model_dump_json())
    with (data / "stack.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fcntl.flock(lock, fcntl.LOCK_UN)
        yield


def test_a_stack_that_runs_in_a_folder_above_is_used(stack: None) -> None:
    assert use_running_stack() is not None
    assert os.environ["REDIS_URL"] == STACK.redis_url
    assert os.environ["TEMPORAL_ADDRESS"] == STACK.temporal_address


def test_the_stacks_memories_are_kept_in_its_postgres_unless_told_otherwise(
    stack: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEM0_API_KEY", "m0-key")
    use_running_stack()
    assert os.environ["MEM0_BACKEND"] == "open_source"
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MEM0_BACKEND", "platform")
    use_running_stack()
    assert os.environ["MEM0_BACKEND"] == "platform"


def test_one_named_server_means_that_none_of_the_stack_is_used(stack: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/db")
    assert named_servers() == ["DATABASE_URL"]
    assert use_running_stack() is None
    assert "REDIS_URL" not in os.environ


def test_dot_env_names_servers_as_the_environment_does(stack: None) -> None:
    Path(".env").write_text("REDIS_URL=redis://elsewhere\n")
    read_dot_env()
    assert named_servers() == ["REDIS_URL"]


def test_the_file_of_a_dead_stack_is_not_believed(dead_stack: None) -> None:
    assert find_running_stack() is None
