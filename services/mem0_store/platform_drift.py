"""Compares what Mem0 and the brain hold of one owner. Pure: it reads neither."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.domain.memories import Owner, OwnerType, brain_id
from services.mem0_store.platform_agreement import Wanted
from services.mem0_store.platform_client import Item
from services.postgres.memories.mem0_links import Link

DriftKind = Literal["missing_in_mem0", "missing_in_brain", "texts_differ", "duplicates"]

_TYPES: tuple[OwnerType, ...] = ("user", "company")


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing that does not agree."""

    kind: DriftKind
    slug: str
    brain_id: UUID


def drifts(
    owner: Owner,
    entity_id: str | None,
    links: Iterable[Link],
    items: Mapping[str, Item],
    *,
    in_flight: Collection[UUID],
    before: datetime,
) -> list[Drift]:
    """Judge what was written and added `before` the grace time began, and what nobody is at work on.

    `items` are the owner's memories in Mem0 with those that the links name, as far as Mem0 has them; without an
    `entity_id` the owner is gone.
    """
    linked = {each.brain_id: each for each in links}
    found = [
        *(drift for each in linked.values() if each.is_settled for drift in _of_link(owner, entity_id, each, items)),
        *(drift for item in items.values() if _is_old(item, before) for drift in _of_item(owner, item, linked)),
    ]
    return [drift for drift in found if drift.brain_id not in in_flight]


def _of_link(owner: Owner, entity_id: str | None, link: Link, items: Mapping[str, Item]) -> Iterable[Drift]:
    item = items.get(link.memory_id)
    wanted = Wanted(owner, link.slug, entity_id or "", link.content, link.kind)
    if item is None or item.entity_id not in (None, entity_id):
        yield Drift("missing_in_mem0", link.slug, link.brain_id)
    elif not wanted.is_said_by(item):
        yield Drift("texts_differ", link.slug, link.brain_id)


def _of_item(owner: Owner, item: Item, linked: Mapping[UUID, Link]) -> Iterable[Drift]:
    named = named_brain(owner, item)
    if named is None or any(link.memory_id == item.id for link in linked.values()):
        return
    slug, brain = named
    yield Drift("duplicates" if brain in linked else "missing_in_brain", slug, brain)


def named_brain(owner: Owner, item: Item) -> tuple[str, UUID] | None:
    """Give slug and brain id of a memory that we wrote: the one follows from the other. None for a foreign one."""
    slug = str(item.metadata.get("slug"))
    brain = brain_id(owner, slug)
    return (slug, brain) if Wanted(owner, slug, "").marks(item) else None


def named_memory(item: Item) -> tuple[Owner, str] | None:
    """Give owner and slug of a memory that we wrote; None for a foreign one."""
    try:
        owner_id = UUID(str(item.metadata.get("owner_id")))
    except ValueError:
        return None
    owners = [Owner(kind, owner_id) for kind in _TYPES if kind == item.metadata.get("scope")]
    return next(((owner, named[0]) for owner in owners if (named := named_brain(owner, item))), None)


def is_foreign(item: Item) -> bool:
    """Whether no owner of ours can have written it."""
    return named_memory(item) is None


def _is_old(item: Item, before: datetime) -> bool:
    return item.created_at is not None and item.created_at < before
