"""docs/upgrade.md: old code runs on the newer schema, for migrations only add. Held from the first release on."""

import ast
import re
from pathlib import Path

import pytest

VERSIONS = Path(__file__).parents[2] / "services" / "postgres" / "migrations" / "versions"
# The first release has these; nobody ran older code beside them.
FIRST_RELEASE = 11
# What a later version takes away says so, with the version that stopped using it.
MARK = "# contract: "
_SQL = re.compile(r"\b(drop (table|column|function|view|constraint)|rename (to|column)|set not null)\b", re.IGNORECASE)


def takes_away(source: str) -> list[str]:
    """Give what a migration's `upgrade` takes from code that runs on the schema before it."""
    tree = ast.parse(source)
    [upgrade] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "upgrade"]
    lines = source.splitlines()
    found = []
    for node in ast.walk(upgrade):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            names = {keyword.arg for keyword in node.keywords}
            drops = node.func.attr in {"drop_table", "drop_column", "drop_constraint", "rename_table"}
            alters = node.func.attr == "alter_column" and names & {"new_column_name", "type_", "nullable"}
            if (drops or alters) and MARK not in lines[node.lineno - 2]:
                found.append(lines[node.lineno - 1].strip())
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (hit := _SQL.search(node.value)):
            found.append(hit[0])
    return found


@pytest.mark.parametrize("path", sorted(VERSIONS.glob("*.py")), ids=lambda path: path.stem)
def test_a_migration_only_adds(path: Path) -> None:
    if int(path.stem[:4]) > FIRST_RELEASE:
        assert takes_away(path.read_text()) == []


def test_what_takes_away_is_found() -> None:
    for line in ('op.drop_column("rooms", "x")', 'op.execute("alter table rooms rename to halls")'):
        assert takes_away(f"def upgrade():\n    pass\n    {line}\n")
    assert not takes_away(f'def upgrade():\n    {MARK}nothing since 0.2\n    op.drop_column("rooms", "x")\n')
    assert not takes_away('def upgrade():\n    op.add_column("rooms", "x")\n')
