"""The three steps of every write on the platform: an intent with a lease, Mem0, the record that removes the intent."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import AfterturnError, PermanentError, TransientError
from services.mem0_store.platform_agreement import Agreement, Wanted
from services.mem0_store.platform_client import PlatformClient
from services.mem0_store.platform_errors import OutcomeUnknownError
from services.mem0_store.platform_leases import HeldLease, Take, Turns
from services.postgres.database import Database
from services.postgres.memories.intents import Lease

# In calls to Mem0 at their slowest: a writer stops before its lease ends, and the next one waits until it must have.
_WORK = 4
_LEASE = 6
_PATIENCE = 7
DoneT = TypeVar("DoneT")
TakenT = TypeVar("TakenT")
# Gets the id of the memory in Mem0, and writes what follows from it into the transaction that ends the lease.
Conclude = Callable[[AsyncSession, str | None], Awaitable[DoneT]]


@dataclass(frozen=True, slots=True)
class Begun:
    """A write whose intent is committed. `known` are the ids that Mem0 had for it before."""

    lease: Lease
    wanted: Wanted
    known: Sequence[str]


class Writing:
    def __init__(self, client: PlatformClient, database: Database, answer_seconds: float) -> None:
        self.lease_seconds = _LEASE * answer_seconds
        self._work_seconds = _WORK * answer_seconds
        self._client = client
        self._database = database
        self._turns = Turns(database, _PATIENCE * answer_seconds)

    def alone_here(self, brain: UUID) -> AbstractAsyncContextManager[None]:
        return self._turns.alone_here(brain)

    async def wait(self, brain: UUID, take: Take[TakenT]) -> TakenT:
        return await self._turns.wait(brain, take)

    async def write(self, begun: Begun, conclude: Conclude[DoneT]) -> DoneT:
        """Bring Mem0 about, conclude, and end the lease with it; what was begun stays written down on an error."""
        held = HeldLease(self._database, begun.lease)
        try:
            memory_id = await self._agree(held, begun)
            async with self._database.transaction() as session:
                done = await conclude(session, memory_id)
                await held.finish(session)
        except IntegrityError:
            # Its owner is gone, or another record took the memory: whoever tries again sees what stands.
            await _give_back(held)
            raise TransientError("the brain changed while the memory was saved") from None
        except PermanentError:
            await _give_back(held, drop_payload=True)
            raise
        except BaseException:
            await _give_back(held)
            raise
        return done

    async def give_back(self, begun: Begun) -> None:
        await _give_back(HeldLease(self._database, begun.lease))

    async def _agree(self, held: HeldLease, begun: Begun) -> str | None:
        agreement = Agreement(self._client, held, begun.wanted)
        try:
            async with asyncio.timeout(self._work_seconds):
                return await agreement.reach(begun.known, doubt=begun.lease.doubt)
        except TimeoutError:
            raise OutcomeUnknownError("Mem0 takes too long") from None


async def _give_back(held: HeldLease, *, drop_payload: bool = False) -> None:
    """If it cannot be given back, it ends by itself."""
    with suppress(AfterturnError):
        await held.give_back(drop_payload=drop_payload)
