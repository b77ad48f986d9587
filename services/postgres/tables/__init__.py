"""The tables, as section "The tables" of docs/architecture.md describes them: all are known as soon as one is."""

from services.postgres.tables import (
    api,
    archive,
    forgetting,
    imports,
    maintenance,
    memories,
    people,
    sections,
    vectors,
    webhooks,
)

__all__ = [
    "api",
    "archive",
    "forgetting",
    "imports",
    "maintenance",
    "memories",
    "people",
    "sections",
    "vectors",
    "webhooks",
]
