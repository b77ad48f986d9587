"""What processes did with permanent values, and whether one register could have answered all of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Kind = Literal["read", "write", "delete"]


@dataclass(frozen=True, slots=True)
class Did:
    """A call from `start` to `end` (of one clock for all processes).

    `version` is what was read or written, 0 of a read that found nothing, None where it is not known. Of a call that
    was not `acknowledged` nobody knows whether it happened.
    """

    kind: Kind
    key: str
    start: float
    end: float
    tag: str | None = None
    version: int | None = None
    acknowledged: bool = True


def faults(history: Sequence[Did]) -> Iterator[str]:
    """Name what no register could have done: each is a lost write, a stale read or a version out of order."""
    for key in sorted({did.key for did in history}):
        yield from _faults_of([did for did in history if did.key == key])


def _faults_of(history: Sequence[Did]) -> Iterator[str]:
    writes = [did for did in history if did.kind == "write"]
    acknowledged = [did for did in writes if did.acknowledged]
    deletes = [did for did in history if did.kind == "delete"]
    reads = [did for did in history if did.kind == "read" and did.acknowledged]
    yield from _out_of_order(acknowledged)
    by_tag = {write.tag: write for write in writes}
    for read in reads:
        if read.version == 0:
            yield from _wrongly_absent(read, deletes, acknowledged, reads)
        else:
            yield from _wrongly_there(read, by_tag.get(read.tag), acknowledged, deletes, reads)


def _out_of_order(writes: Sequence[Did]) -> Iterator[str]:
    if len({write.version for write in writes}) != len(writes):
        yield "two writes have one version"
    by_version = sorted(writes, key=lambda write: write.version or 0)
    for earlier, later in pairwise(by_version):
        if later.end < earlier.start:
            yield f"version {later.version} was given out before {earlier.version}"


def _wrongly_there(
    read: Did, written: Did | None, writes: Sequence[Did], deletes: Sequence[Did], reads: Sequence[Did]
) -> Iterator[str]:
    version = read.version or 0
    if written is None or written.start > read.end:
        yield f"version {version} was read and never written"
        return
    if written.acknowledged and written.version != version:
        yield f"version {written.version} was written and read as {version}"
    if any((write.version or 0) > version and write.end < read.start for write in writes):
        yield f"version {version} was read after a newer write was acknowledged"
    if any((other.version or 0) > version and other.end < read.start for other in reads):
        yield f"version {version} was read after a newer one"
    if any(one.acknowledged and one.start > written.end and one.end < read.start for one in deletes):
        yield f"version {version} was read after it was deleted"
    if any(other.version == 0 and other.start > written.end and other.end < read.start for other in reads):
        yield f"version {version} was read after it was seen to be gone"


def _wrongly_absent(read: Did, deletes: Sequence[Did], writes: Sequence[Did], reads: Sequence[Did]) -> Iterator[str]:
    """Some delete, or the beginning, must come after all that was there before the read."""
    there = [write for write in writes if write.end < read.start]
    there += [other for other in reads if other.version and other.end < read.start]
    last_start = max((did.start for did in there), default=float("-inf"))
    # A delete without an answer may happen at any time after it began.
    reach = [one.end if one.acknowledged else float("inf") for one in deletes if one.start < read.end]
    if there and max(reach, default=float("-inf")) < last_start:
        yield "nothing was found where a write had been acknowledged"
