"""The guide's examples do what they say."""

import ast
from pathlib import Path

from services.domain.memories import owner_of
from services.section_store.store import SectionStore

GUIDE = Path(__file__).parents[3] / "docs" / "sections.md"


def examples() -> str:
    return GUIDE.read_text().split("```python\n")[1].split("```")[0]


async def test_the_guides_examples_run(sections: SectionStore) -> None:
    code = compile(examples(), str(GUIDE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await eval(code, {"store": sections, "owner_of": owner_of})  # noqa: S307  our own page


def test_the_guide_shows_every_call() -> None:
    calls = {name for name in vars(SectionStore) if not name.startswith("_")} - {"open", "counts"}
    guide = GUIDE.read_text()
    assert {name for name in calls if f"{name}(" not in guide} == set()
