"""The pages for operators name commands, options, settings and pages that there are."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from services.cli.app import app

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
    for block in re.findall(r"```sh[^\n]*\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
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


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
