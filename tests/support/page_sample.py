"""What the web page is shown with: a few rooms, their memories, a backfill, and something in quarantine."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from afterturn_client.memory_client import MemoryClient
from afterturn_client.messages import new_message

from services.domain.memories import NewMemory, owner_of
from services.operations.backfills import Backfills
from services.resources import Resources
from services.worker.maintenance import wire_analytics
from tests.support.loads import add
from tests.support.openai_server import OpenAIServer, Status
from tests.support.remembering import Finding, Remembering
from tests.support.rooms import until_digested

ROOM = "user:ana"
TALK = (
    (
        "I moved to Valparaíso in May. My flat has a balcony, and the cat loves it.",
        "What a change from Santiago! How do you get to work now?",
    ),
    (
        "I work from home on Mondays and Fridays; on the other days I take the 7:40 bus.",
        "So Mondays and Fridays are good for deliveries.",
    ),
    ("Yes. And please keep your answers short, I read them on the bus.", "Short it is."),
)
LAST = ("I bought a bicycle, so no more bus for me.", "Enjoy the ride!")
SUPPORT = (
    ("When is the office open?", "From nine to six, Monday to Friday."),
    ("Where do I send the invoice for March?", "To invoices@example.org, as a PDF."),
    ("Can I pay in two parts?", "Yes: half now, half within thirty days."),
    ("The parcel came without the cable.", "I am sorry. A new one is on its way."),
    ("Who signs for us while Carla is away?", "Diego does, until the 12th."),
)
FINDINGS = [
    Finding("moved to Valparaíso", "The user moved to Valparaíso in May.", "episodic", slug="user_move"),
    Finding("balcony", "The user's flat has a balcony.", slug="user_flat"),
    Finding("work from home", "The user works from home on Mondays and Fridays.", slug="user_home_days"),
    Finding("answers short", "Keep answers short: the user reads them on the bus.", "procedural", slug="answer_style"),
]
SUMMARY = (
    "The user moved to Valparaíso in May. The flat has a balcony. "
    "The user works from home on Mondays and Fridays and on the other days takes the 7:40 bus."
)


async def fill(resources: Resources, memory: MemoryClient, model: OpenAIServer) -> None:
    """Say it, and wait until it is digested and loaded."""
    model.answer = Remembering(findings=FINDINGS, summary=SUMMARY)
    started = datetime.now(UTC) - timedelta(hours=3)
    for place, turn in enumerate(TALK):
        await _say(memory, place, turn, at=started + timedelta(minutes=2 * place))
    for place, (asked, answered) in enumerate(SUPPORT):
        await memory.record_turn(
            f"room:support-{place + 1}", user=asked, assistant=answered, user_id="ben", company_id="acme"
        )
    await until_digested(resources, ROOM, 2 * len(TALK))
    before = NewMemory(
        "user_home_days", "The user works from home on Fridays.", asserted_at=datetime(2026, 1, 5, tzinfo=UTC)
    )
    await resources.memories.save(owner_of("user", "ana"), [before])
    await resources.redis.rpush("room:support-1:messages", b'{"role": "user", "content": ')
    await resources.redis.rpush("room:support-3:messages", b'{"role": "nobody", "content": "Hello?"}')
    await add(resources, "company", 400)
    backfills = Backfills(resources.temporal)
    running = await backfills.start_all("company", {"max_per_second": 40})
    await asyncio.sleep(3)
    # So slowly that it is seen at work.
    await backfills.set_rate(running, 0.5)
    model.refuses = _completions
    await _say(memory, len(TALK), LAST, at=datetime.now(UTC))
    await _until_quarantined(resources, 2)
    await wire_analytics(resources).take(run_id="sample")


async def _say(memory: MemoryClient, place: int, turn: tuple[str, str], *, at: datetime) -> None:
    said, answered = turn
    messages = [
        new_message(id=f"turn-{place}:user", role="user", content=said, user_id="ana", sent_at=at),
        new_message(id=f"turn-{place}:assistant", role="assistant", content=answered, sent_at=at),
    ]
    await memory.record(ROOM, messages)


def _completions(request: dict[str, Any]) -> Status | None:
    """Refuse to write, so that the last turn is seen on its way; go on embedding."""
    return Status(503, retry_after="600") if "messages" in request else None


async def _until_quarantined(resources: Resources, count: int) -> None:
    async with asyncio.timeout(60):
        while len(await resources.quarantine.list_open()) < count:
            await asyncio.sleep(0.2)
