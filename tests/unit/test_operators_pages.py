"""The pages for operators name commands, options, settings and pages that there are."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from services.cli.app import app
from tests.support.drill.pages import block

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("backup.md", "upgrade.md", "security.md", "migration_from_celery.md")
SETTINGS = set(
    re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (DOCS.parent / "compose" / ".env.example").read_text(), re.MULTILINE)
)
# Set by whoever runs a page's blocks, and said there to be; and words of Redis.
VARIABLES = {"SUPERUSER_URL", "BACKUPS", "ELSEWHERE", "REDIS_FOLDER", "SERVER_URL", "DATABASE", "OWNER", "WAL_ARCHIVE"}
WORDS = {"RPUSH", "LRANGE", "DEL", "RENAME", "SLOWLOG", "MONITOR", "BUSYKEY", "OK"}


def text_of(page: str) -> str:
    return (DOCS / page).read_text()


def commands_in(page: str) -> Iterator[list[str]]:
    text = text_of(page)
    for said in re.findall(r"```sh[^\n]*\n(.*?)```", text, re.DOTALL):
        for line in said.splitlines():
            if line.startswith("afterturn "):
                yield shlex.split(line.partition(" > ")[0])[1:]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for said in re.findall(r"`afterturn ([^`]+)`", prose):
        yield shlex.split(said)


def found(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        assert words, "a group alone"
        assert words[0] in command.commands, words
        command, words = command.commands[words[0]], words[1:]
    known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
    assert {word for word in words if word.startswith("--")} <= known, (command.name, words)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_there(page: str) -> None:
    told = list(commands_in(page))
    assert told
    for words in told:
        if words[0] in {"retention", "memories", "forget"} and len(words) == 1:
            continue
        found(words)


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_is_there(page: str) -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9_]{3,})(?:=[^`]*)?`", text_of(page)))
    assert named - SETTINGS - VARIABLES - WORDS == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)(?:#([^)]*))?\)", text_of(page)):
        path = DOCS / target if target else DOCS / page
        assert path.exists(), target
        if anchor:
            assert anchor in _anchors(path.read_text()), (target, anchor)


def test_a_page_that_rots_is_found() -> None:
    for words in (["restore"], ["restored", "--nonsense"], ["forget", "everybody"]):
        with pytest.raises(AssertionError):
            found(words)


@pytest.mark.parametrize(("code", "stands"), [(0, "the new list"), (3, "the last list")])
def test_the_list_of_the_forgotten_outlives_an_outage(tmp_path: Path, code: int, stands: str) -> None:
    afterturn = tmp_path / "afterturn"
    afterturn.write_text(f"#!/bin/sh\n[ {code} -ne 0 ] || printf 'the new list'\nexit {code}\n")
    afterturn.chmod(0o755)
    (tmp_path / "forgotten.json").write_text("the last list")
    told = {"PATH": f"{tmp_path}:/usr/bin:/bin", "ELSEWHERE": str(tmp_path)}
    script = block("backup.md", "Back up", "forgotten")
    done = subprocess.run(["/bin/sh", "-c", script], env=told, capture_output=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert (tmp_path / "forgotten.json").read_text() == stands


def test_the_list_is_kept_aside_before_a_restore() -> None:
    """What is begun again afterwards reads that copy, not what a job writes of the restored database."""
    kept = shlex.split(block("backup.md", "Restore", "forgotten"))[-1]
    assert f'--forgotten "{kept}"' in block("backup.md", "Restore", "afterwards")
    assert f'"{kept}"' not in block("backup.md", "Back up", "forgotten")


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
