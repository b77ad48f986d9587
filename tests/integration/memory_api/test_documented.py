"""The examples of docs/api.md are requests that succeed, and its tables say what is so."""

import re
from pathlib import Path

from services.memory_api.app import create_app
from services.memory_api.problems import KINDS
from services.settings import MemoryApiSettings
from tests.support.memory_api import Caller

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
EXAMPLE = re.compile(
    r"```http\n(?P<method>[A-Z]+) (?P<path>\S+)\n(?P<headers>(?:[A-Za-z-]+: [^\n]*\n)*)\n?(?P<body>.*?)```", re.DOTALL
)


async def test_the_examples_succeed_in_their_order(service: Caller) -> None:
    examples = list(EXAMPLE.finditer(PAGE))
    assert len(examples) == 8
    for example in examples:
        headers = dict(line.split(": ", 1) for line in example["headers"].splitlines())
        answer = await service.request(
            example["method"],
            example["path"],
            content=example["body"].strip() or None,
            headers={**headers, "Content-Type": "application/json"},
        )
        assert answer.is_success, (example[0], answer.text)


def test_the_page_names_every_route() -> None:
    paths = create_app(MemoryApiSettings(_env_file=None)).openapi()["paths"]
    for path in paths:
        of_owner = path.replace("/v1/users/{owner_id}", "").replace("/v1/companies/{owner_id}", "")
        # A path stands there whole, or ends as one of a row that begins another.
        assert path in PAGE or of_owner in PAGE or f"…/{path.rpartition('/')[2]}`" in PAGE or _is_of_sections(path), (
            path
        )


def _is_of_sections(path: str) -> bool:
    """Whether another page tells of it by name."""
    return any(f"/{one}" in path for one in ("facts", "preferences", "sessions"))


async def test_the_docs_of_every_route_are_served(service: Caller) -> None:
    document = (await service.get("/openapi.json")).json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation.get("summary"), (method, path)
            assert operation["responses"]
    assert "Afterturn memory API" in (await service.get("/docs")).text


def test_the_page_names_every_kind_of_problem() -> None:
    for name, _ in (kind for status, kind in KINDS.items() if status not in (405, 500)):
        assert f"`{name}`" in PAGE, name
