"""Holds what search finds in a model's vectors against an exact scan of them."""

from collections.abc import Sequence

from activities.fitting_texts import FittingTexts
from activities.reembed_steps import CheckedRecall
from services.domain.errors import RecallTooLowError
from services.domain.ids import message_uid
from services.domain.memories import KINDS
from services.domain.questions import Question
from services.llm_proxy.client import ModelClient
from services.postgres.database import Database
from services.postgres.search.searching import Hit, Search
from services.postgres.vectors.exact_scan import ExactScan, Probe

# The nearest by an exact scan must be among the first that search gives: age moves them there, by a tenth at the most.
_NEAREST = 10
_FOUND = 100
# Nothing but the vector decides.
_WITHOUT_WORDS = Question("")


class RecallCheck:
    """`least` is the recall below which a model is refused, over `samples` messages and as many memories."""

    def __init__(self, database: Database, client: ModelClient, *, least: float, samples: int) -> None:
        self._database = database
        self._exact = ExactScan(database)
        self._texts = FittingTexts(client)
        self._least = least
        self._samples = samples

    async def check(self, model: str) -> CheckedRecall:
        """Embed stored texts again, and search for each where it stands."""
        probes = await self._exact.probes(model, self._samples)
        search = Search(self._database, model)
        shares = [
            share
            for some in _batches(probes)
            for probe, vector in zip(some, await self._texts.embed(model, [one.text for one in some]), strict=True)
            if vector is not None and (share := await self._share(model, search, probe, vector)) is not None
        ]
        recall = sum(shares) / len(shares) if shares else 1.0
        if recall < self._least:
            told = f"search finds {recall:.3f} of the nearest in {model}, REEMBED_RECALL asks for {self._least:g}"
            raise RecallTooLowError(f"{told}: the current model stays")
        return CheckedRecall(recall=round(recall, 4), sampled=len(shares))

    async def _share(self, model: str, search: Search, probe: Probe, vector: Sequence[float]) -> float | None:
        """Give the share of the nearest that search finds; 0 where the text's own vector is another one."""
        holds = await self._exact.holds(model, probe, vector)
        if not holds:
            # Deleted meanwhile, or not there yet: who switches counts that.
            return None if holds is None else 0.0
        nearest = await self._exact.nearest(model, probe, vector, limit=_NEAREST)
        if not nearest:
            return None
        hits = await search.find(
            _WITHOUT_WORDS,
            vector,
            room_id=probe.room_id,
            owner=probe.owner,
            kinds=("message",) if probe.room_id else KINDS,
            limit=_FOUND,
        )
        return len(nearest.intersection(_id(hit) for hit in hits)) / len(nearest)


def _id(hit: Hit) -> str:
    return str(message_uid(hit.room_id, hit.id)) if hit.kind == "message" and hit.room_id else hit.id


def _batches(probes: Sequence[Probe], size: int = 16) -> list[Sequence[Probe]]:
    return [probes[start : start + size] for start in range(0, len(probes), size)]
