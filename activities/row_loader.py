"""Makes memories of rows, many owners at once, and tells whose fault it is where that fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.domain.errors import MemoryStoreUnavailableError, ModelRefusedError, ModelUnavailableError
from services.domain.memories import NewMemory
from services.domain.rows.assertions import assertions
from services.llm_proxy.client import ModelClient
from services.memories.saving import MemoryFailure, MemoryService, SaveResult
from services.postgres.memories.owner_rows import OwnerRow
from services.postgres.vectors.written import WrittenVectors

# Of one transaction and one request for embeddings, one after the other: what live chat asks for waits for no more.
GROUP_OWNERS = 16


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of one owner: how many statements a run has written, and what kept others out."""

    row: OwnerRow
    memories: int
    failures: Sequence[MemoryFailure] = ()


class RowLoader:
    """`blames_owners` says that what the model and Postgres allow others, and not one owner, is the owner's fault.

    Where memories are kept elsewhere, too, an outage there looks the same, and whatever may pass is waited out.
    """

    def __init__(
        self, memories: MemoryService, model: ModelClient, vectors: WrittenVectors, *, blames_owners: bool
    ) -> None:
        self._memories = memories
        self._model = model
        self._vectors = vectors
        self._blames_owners = blames_owners

    async def load(self, rows: Sequence[OwnerRow], run: str, *, dry_run: bool, suspect: bool) -> list[Loaded]:
        """Load owners; raise `MemoryStoreUnavailableError` or `ModelUnavailableError` where that is nobody's fault.

        What looks like an outage again and again makes the owners `suspect`: each is tried by itself then.
        """
        alone = suspect and self._blames_owners
        loaded = await self._load_groups(rows, run, dry_run=dry_run, owners=1 if alone else GROUP_OWNERS)
        failures = [failure for one in loaded for failure in one.failures]
        outages = [failure for failure in failures if failure.outage]
        if outages and not alone:
            raise _outage(outages)
        if failures:
            await self._probe()
        return loaded

    async def _load_groups(self, rows: Sequence[OwnerRow], run: str, *, dry_run: bool, owners: int) -> list[Loaded]:
        loaded: list[Loaded] = []
        for first in range(0, len(rows), owners):
            loaded += await self._load_group(rows[first : first + owners], run, dry_run=dry_run)
        return loaded

    async def _load_group(self, rows: Sequence[OwnerRow], run: str, *, dry_run: bool) -> list[Loaded]:
        now = datetime.now(UTC)
        asserted = [assertions(row.owner.type, row.row, row.said, now=now, run_id=run, epoch=row.epoch) for row in rows]
        if dry_run:
            return [_loaded(row, memories, None, run) for row, memories in zip(rows, asserted, strict=True)]
        results = await self._memories.save_many(list(zip((row.owner for row in rows), asserted, strict=True)))
        return [
            _loaded(row, memories, result, run) for row, memories, result in zip(rows, asserted, results, strict=True)
        ]

    async def _probe(self) -> None:
        """See to it that the model answers a word from anybody: else no owner is at fault, and all of them wait."""
        try:
            model = await self._vectors.current()
            await self._model.embed(model=model, texts=["hola"], input_type="query", purpose="probe")
        except ModelRefusedError as refusal:
            raise ModelUnavailableError("the model refuses every request", status=refusal.status) from None


def _loaded(row: OwnerRow, asserted: Sequence[NewMemory], result: SaveResult | None, run: str) -> Loaded:
    """Count the statements that this run has written of an owner, in this attempt or an earlier one."""
    left_out = {one.slug for one in result.results if one.outcome in ("failed", "skipped")} if result else set[str]()
    before = {slug for slug, said in row.said.items() if said.run_id == run and said.content is not None}
    written = {memory.slug for memory in asserted if memory.content is not None and memory.slug not in left_out}
    return Loaded(row, len(before | written), result.errors if result else ())


def _outage(failures: Sequence[MemoryFailure]) -> MemoryStoreUnavailableError:
    delays = [failure.retry_after for failure in failures if failure.retry_after is not None]
    told = f"memories were not saved: {failures[0].reason}"
    return MemoryStoreUnavailableError(told, retry_after=max(delays, default=None))
