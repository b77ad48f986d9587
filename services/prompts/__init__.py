"""The prompts, each in a file `<name>.v<version>.txt` beside this one.

A file that was released is never edited: a new version is a new file, so that a recorded answer stays bound to the
prompt that it was given to.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

FOLDER = Path(__file__).parent

_PART = re.compile(r"^\[(system|user)\]\n", re.MULTILINE)
_MARKER = re.compile(r"</?(conversation|summary|parts|memories)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt's text; `version` names it wherever its answers are kept, as in `summarise.v1`."""

    name: str
    version: str
    text: str


def prompt(name: str, number: int | None = None) -> Prompt:
    """Read a prompt, the newest one if no number is given; raise `FileNotFoundError` when there is none."""
    newest = number or max((_number(path) for path in FOLDER.glob(f"{name}.v*.txt")), default=1)
    version = f"{name}.v{newest}"
    return Prompt(name, version, (FOLDER / f"{version}.txt").read_text(encoding="utf-8"))


def render(template: Prompt, **fields: str) -> list[dict[str, str]]:
    """Fill a prompt and give chat messages.

    A field cannot close the markers it stands between: the opening bracket of a marker inside it is taken away.
    """
    safe = {name: _MARKER.sub(lambda match: match.group()[1:], value) for name, value in fields.items()}
    parts = _PART.split(template.text)[1:]
    return [
        {"role": role, "content": Template(text.strip()).substitute(safe)}
        for role, text in zip(parts[::2], parts[1::2], strict=True)
    ]


def _number(path: Path) -> int:
    return int(path.stem.rsplit(".v", 1)[1])
