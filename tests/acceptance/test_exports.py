"""All that is kept of somebody, and nothing of others, in a file that is made while it is sent."""

import json
import random
import zipfile
from io import BytesIO
from typing import Any

from afterturn_client.memory_client import MemoryClient

from services.domain.memories import Owner, owner_of
from services.domain.messages import NewMessage
from services.memories.exporting import Exporting
from services.resources import Resources
from tests.support.openai_server import OpenAIServer
from tests.support.remembering import Finding, Remembering
from tests.support.rooms import until_digested
from tests.support.tenants import NOON, archive

ANA, BEN = owner_of("user", "ana"), owner_of("user", "ben")


async def exported(resources: Resources, owner: Owner) -> dict[str, list[dict[str, Any]]]:
    pieces = [piece async for piece in Exporting(resources.database, resources.owners_data).stream(owner)]
    with zipfile.ZipFile(BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        about = archive.read("README.txt").decode()
        assert all(name in about for name in names if name != "README.txt")
        return {
            name.removesuffix(".jsonl"): [json.loads(line) for line in archive.read(name).splitlines()]
            for name in names
            if name.endswith(".jsonl")
        }


def contents(rows: list[dict[str, Any]]) -> list[str]:
    return [row["content"] for row in rows]


async def test_an_export_holds_all_of_one_person_and_nothing_of_others(
    worker: None, resources: Resources, memory: MemoryClient, model: OpenAIServer
) -> None:
    model.answer = Remembering([Finding("old maps", "The user collects old maps.", slug="maps")])
    await memory.record_turn("user:ana", user="I collect old maps.", assistant="Maps!")
    await memory.record_turn("room:ben", user="I sail.", assistant="Noted.", user_id="ben")
    await memory.record_turn("room:ben", user="I swim.", assistant="Noted.", user_id="ana")
    await resources.sections.set_user_preference(ANA, "colour", "blue")
    await resources.sections.set_user_preference(BEN, "colour", "red")
    await until_digested(resources, "user:ana", 2, seconds=90)
    await until_digested(resources, "room:ben", 4, seconds=90)

    found = await exported(resources, ANA)
    assert [row["external_id"] for row in found["profile"]] == ["ana"]
    assert [row["id"] for row in found["rooms"]] == ["user:ana"]
    assert contents(found["messages"]) == ["I collect old maps.", "Maps!"]
    assert contents(found["messages_elsewhere"]) == ["I swim.", "Noted."]
    assert {row["room_id"] for row in found["summaries"]} == {"user:ana"}
    [remembered] = found["memories"]
    assert remembered["content"] == "The user collects old maps."
    assert remembered["sources"] == [found["messages"][0]["uid"]]
    assert [row["value"] for row in found["sections"]] == ["blue"]
    assert "ben" not in json.dumps({name: rows for name, rows in found.items() if name != "messages_elsewhere"})


async def test_a_room_of_many_messages_is_exported_in_pieces(resources: Resources) -> None:
    noise = random.Random(0)
    said = [NewMessage(f"m{n}", "user", noise.randbytes(200).hex(), "ana", None, NOON) for n in range(900)]
    await archive(resources.database, "user:ana", said)
    stream = Exporting(resources.database).stream(ANA)
    sizes = [len(piece) async for piece in stream]
    assert len(sizes) > 2
    assert max(sizes) < sum(sizes) / 2
    assert contents((await exported(resources, ANA))["messages"]) == [message.content for message in said]
    assert (await exported(resources, BEN))["messages"] == []
