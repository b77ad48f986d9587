"""What the `memories` commands do."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from services.cli.exit_codes import FAILED, OK, UNREACHABLE, WRONG_USAGE, CommandFailedError
from services.cli.output import Output, shown
from services.cli.reaching import opened
from services.domain.errors import InvalidInputError
from services.domain.memories import Kind, Owner, check_slug, owner_of
from services.domain.messages import ArchivedMessage
from services.memories.saving import MemoryInput, SaveResult
from services.postgres.memories.brain import Brain, MemoryRecord, MemoryVersion, Origin

_PAGE = 500


def owner_from(user_id: str | None, company_id: str | None) -> Owner:
    """Name the one owner that was asked for; raise `InvalidInputError` for none, and for both."""
    if (user_id is None) == (company_id is None):
        raise InvalidInputError("--user", "a person's id, or --company a company's; one of the two")
    return owner_of("user", user_id) if user_id is not None else owner_of("company", company_id or "")


async def list_all(
    output: Output, *, user_id: str | None, company_id: str | None, kind: Kind | None, limit: int
) -> int:
    owner = owner_from(user_id, company_id)
    async with opened("postgres") as resources:
        records = await read_all(resources.brain, owner, kind=kind, limit=limit)
    output.emit({"owner": str(owner), "memories": [_facts(record) for record in records]})
    output.table(
        ("slug", "kind", "content", "asserted", "made by"),
        ((r.slug, r.kind, r.content, r.asserted_at, r.made_by) for r in records),
    )
    if not records:
        output.note(f"nothing is remembered about {owner}")
    return OK


async def read_all(brain: Brain, owner: Owner, *, kind: Kind | None, limit: int) -> list[MemoryRecord]:
    """Give an owner's memories by slug, of one kind only if so asked."""
    read = brain.get_all_by_user if owner.type == "user" else brain.get_all_by_company
    records: list[MemoryRecord] = []
    after: str | None = None
    while len(records) < limit and (page := await read(owner.id, after=after, limit=_PAGE)):
        records += [record for record in page if kind in (None, record.kind)]
        after = page[-1].slug
    return records[:limit]


async def show(output: Output, slug: str, *, user_id: str | None, company_id: str | None) -> int:
    owner = owner_from(user_id, company_id)
    check_slug(slug)
    async with opened("postgres") as resources:
        read = resources.brain.get_by_user_and_slug if owner.type == "user" else resources.brain.get_by_company_and_slug
        record = await read(owner.id, slug)
    if record is None:
        raise CommandFailedError(f"no memory of {owner} stands under {slug}; `afterturn memories history` may know it")
    output.emit({"owner": str(owner), **_facts(record)})
    output.table(("", ""), ((name, value) for name, value in _facts(record).items() if value is not None))
    return OK


async def history(output: Output, slug: str, *, user_id: str | None, company_id: str | None) -> int:
    owner = owner_from(user_id, company_id)
    check_slug(slug)
    async with opened("postgres") as resources:
        versions = await resources.brain.history(owner, slug)
    if not versions:
        raise CommandFailedError(f"{owner} has no memory under {slug}, and never had")
    output.emit({"owner": str(owner), "slug": slug, "versions": [asdict(version) for version in versions]})
    show_versions(output, versions)
    return OK


def show_versions(output: Output, versions: Sequence[MemoryVersion]) -> None:
    output.table(
        ("from", "to", "kind", "content", "made by"),
        ((v.valid_from, v.valid_to or "now", v.kind, v.content or "(no longer true)", v.made_by) for v in versions),
    )


async def lineage(output: Output, slug: str, *, user_id: str | None, company_id: str | None) -> int:
    owner = owner_from(user_id, company_id)
    check_slug(slug)
    async with opened("postgres") as resources:
        origins = await resources.brain.lineage(owner, slug)
    if not origins:
        raise CommandFailedError(f"{owner} has no memory under {slug}, and never had")
    output.emit({"owner": str(owner), "slug": slug, "origins": [_origin(origin) for origin in origins]})
    for origin in origins:
        _show_origin(output, origin)
    return OK


def _show_origin(output: Output, origin: Origin) -> None:
    output.print(f"{shown(origin.asserted_at)}  {origin.content or '(no longer true)'}", style="bold")
    made = [origin.made_by, origin.prompt_version, origin.model, origin.run_id]
    output.print(f"  made by {', '.join(part for part in made if part)}", style="dim")
    for message in origin.messages:
        output.print(f"  {message.room_id} ({message.seq}) {message.speaker}: {' '.join(message.content.split())}")


async def save(
    output: Output,
    slug: str,
    content: str,
    *,
    user_id: str | None,
    company_id: str | None,
    kind: Kind,
    asserted_at: datetime | None,
) -> int:
    owner = owner_from(user_id, company_id)
    check_slug(slug)
    memory = MemoryInput(
        slug=slug, content=content, kind=kind, asserted_at=asserted_at and asserted_at.replace(tzinfo=UTC)
    )
    async with opened("postgres") as resources:
        saves = (
            resources.memories.save_user_memories if owner.type == "user" else resources.memories.save_company_memories
        )
        result = await saves((owner.external_id or owner.id), [memory])
    return _report(output, owner, result)


async def delete(output: Output, slug: str, *, user_id: str | None, company_id: str | None) -> int:
    owner = owner_from(user_id, company_id)
    check_slug(slug)
    async with opened("postgres") as resources:
        if not await resources.brain.history(owner, slug):
            raise CommandFailedError(f"{owner} has no memory under {slug}, and never had")
        result = await resources.memories.delete(owner, slug)
    return _report(output, owner, result)


def _report(output: Output, owner: Owner, result: SaveResult) -> int:
    output.emit({"owner": str(owner), **result.model_dump(mode="json")})
    for failure in result.errors:
        output.error(failure.reason)
    for one in result.results:
        output.print(f"{one.slug}: {_WORDS[one.outcome]}")
    return _code(result)


def _code(result: SaveResult) -> int:
    if any(failure.field for failure in result.errors):
        return WRONG_USAGE
    if any(failure.transient for failure in result.errors):
        return UNREACHABLE
    return OK if result.success and not result.skipped_count else FAILED


_WORDS = {
    "created": "saved",
    "updated": "updated; what it said before stands in its history",
    "unchanged": "known already",
    "earlier": "kept as history: a newer fact stands",
    "ended": "no longer stands; its history stays",
    "failed": "not saved",
    "skipped": "not saved: Mem0 is not configured (MEM0_BACKEND or MEM0_API_KEY)",
}


def _facts(record: MemoryRecord) -> dict[str, object]:
    return asdict(record)


def _origin(origin: Origin) -> dict[str, object]:
    return asdict(origin) | {"messages": [_message(message) for message in origin.messages]}


def _message(message: ArchivedMessage) -> dict[str, object]:
    return {
        "room_id": message.room_id,
        "seq": message.seq,
        "id": message.id,
        "speaker": message.speaker,
        "content": message.content,
        "sent_at": message.sent_at,
    }
