"""`bench retrieval` on a small conversation of our own: real Postgres, real search, real or stood-in vectors."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.openai_server import OpenAIServer

NOBODY = "http://127.0.0.1:1"
SAID = (
    "Andrea: I adopted a grey cat from the shelter.",
    "Bruno: What do you call it?",
    "Andrea: Pimienta.",
    "Bruno: My violin teacher moved to Quito.",
    "Andrea: The rent of my flat goes up in June.",
    "Bruno: I bought a second-hand sailing boat.",
)
ASKED: tuple[tuple[str, int, list[str]], ...] = (
    ("What is the name of Andrea's cat?", 4, ["D1:3"]),
    ("Where did the violin teacher of Bruno go?", 4, ["D1:4"]),
    ("Which vessel does Bruno own?", 1, ["D1:6"]),
    ("What did nobody say?", 5, []),
)


def data_set(folder: Path, questions: list[dict[str, Any]] | None = None) -> str:
    messages = [
        {"speaker": speaker, "dia_id": f"D1:{number}", "text": text}
        for number, (speaker, text) in enumerate((line.split(": ") for line in SAID), start=1)
    ]
    asked = [{"question": text, "category": kind, "evidence": evidence} for text, kind, evidence in ASKED]
    document = {
        "sample_id": "small",
        "conversation": {"session_1_date_time": "1:56 pm on 8 May, 2023", "session_1": messages},
        "qa": asked if questions is None else questions,
    }
    file = folder / "small.json"
    file.write_text(json.dumps([document]))
    return str(file)


async def test_the_embedded_model_serves_where_no_proxy_answers(afterturn: CommandLine, tmp_path: Path) -> None:
    finished = await afterturn("bench", "retrieval", data_set(tmp_path), "--json", LLM_PROXY_URL=NOBODY)
    assert finished.code == 0, finished.err
    found = finished.document
    assert (found["conversations"], found["messages"], found["questions"]) == (1, 6, 3)
    assert found["embedding_model"] == "multilingual-e5-small"
    # The violin is met by its word, the cat's name beside its question, the vessel by meaning alone.
    assert found["recall_at_5"] == found["recall_at_10"] == found["recall_at_20"] == 1
    assert {name: part["questions"] for name, part in found["by_category"].items()} == {"multi_hop": 1, "single_hop": 2}
    assert found["by_conversation"]["small"]["recall_at_10"] == 1
    assert 0 < found["p50_ms"] <= found["p95_ms"]


async def test_the_proxy_is_asked_first_and_a_person_reads_a_table(afterturn: CommandLine, tmp_path: Path) -> None:
    async with OpenAIServer() as proxy:
        finished = await afterturn(
            "bench", "retrieval", data_set(tmp_path), LLM_PROXY_URL=proxy.url, EMBEDDING_MODEL="embedding-model"
        )
    assert finished.code == 0, finished.err
    assert "3 questions over 6 messages, vectors of embedding-model" in finished.out
    assert "single_hop" in finished.out
    assert "Pimienta" not in finished.out + finished.err


@pytest.mark.parametrize("content", [None, "{", "{}", "[]", '[{"secret": 1}]'])
async def test_a_file_of_another_kind_is_refused(afterturn: CommandLine, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "other.json"
    if content is not None:
        file.write_text(content)
    finished = await afterturn("bench", "retrieval", str(file), LLM_PROXY_URL=NOBODY)
    assert (finished.code, finished.out) == (2, "")
    assert "other.json" in finished.err
    assert "secret" not in finished.err


async def test_a_file_without_questions_is_refused(afterturn: CommandLine, tmp_path: Path) -> None:
    finished = await afterturn("bench", "retrieval", data_set(tmp_path, []), LLM_PROXY_URL=NOBODY)
    assert finished.code == 2
    assert "question" in finished.err
