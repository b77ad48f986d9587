"""The memories that the demo shows: of all kinds, with their sources, and what changed."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

from services.cli.memories import read_all, show_versions
from services.cli.output import Output
from services.domain.memories import KINDS, Owner
from services.domain.messages import ArchivedMessage
from services.postgres.memories.brain import MemoryRecord, MemoryVersion
from services.resources import Resources

_MOST = 200
_OF_KIND = {
    "semantic": "What is true",
    "episodic": "What happened",
    "procedural": "How to do or behave",
}


@dataclass(frozen=True, slots=True)
class Remembered:
    """A memory with the messages that bear it out, and what it said over time."""

    owner: Owner
    record: MemoryRecord
    sources: tuple[ArchivedMessage, ...]
    versions: tuple[MemoryVersion, ...]

    def as_document(self) -> dict[str, object]:
        return {
            "owner": str(self.owner),
            "slug": self.record.slug,
            "kind": self.record.kind,
            "content": self.record.content,
            "made_by": self.record.made_by,
            "sources": [{"room_id": m.room_id, "seq": m.seq, "id": m.id} for m in self.sources],
            "versions": [asdict(version) for version in self.versions],
        }


async def remembered(resources: Resources, owners: Iterable[Owner]) -> list[Remembered]:
    return [
        await _remembered(resources, owner, record)
        for owner in owners
        for record in await read_all(resources.brain, owner, kind=None, limit=_MOST)
    ]


async def _remembered(resources: Resources, owner: Owner, record: MemoryRecord) -> Remembered:
    origins = await resources.brain.lineage(owner, record.slug)
    return Remembered(
        owner,
        record,
        tuple(message for origin in origins if origin.version_id == record.version_id for message in origin.messages),
        tuple(await resources.brain.history(owner, record.slug)),
    )


def show_memories(output: Output, memories: Sequence[Remembered], *, configured: bool) -> None:
    output.title("Memories")
    if not memories:
        output.print("none" if configured else "none: Mem0 is not configured (MEM0_BACKEND or MEM0_API_KEY)")
        return
    by_kind = sorted(memories, key=lambda one: KINDS.index(one.record.kind))
    for kind, group in groupby(by_kind, key=lambda one: one.record.kind):
        output.print(_OF_KIND[kind], style="bold")
        for one in group:
            output.print(f"  {' '.join(one.record.content.split())}")
            output.print(f"    {one.record.slug}, {_from(one)}", style="dim")
    changed = [one for one in memories if len(one.versions) > 1]
    if changed:
        output.title("What changed")
    for one in changed:
        output.print(one.record.slug, style="bold")
        show_versions(output, one.versions)


def _from(one: Remembered) -> str:
    numbers = ", ".join(str(message.seq) for message in one.sources)
    return f"from message {numbers}" if numbers else f"made by {one.record.made_by}"
