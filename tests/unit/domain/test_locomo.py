"""Reading conversations with questions in the format of LoCoMo."""

from typing import Any

import pytest

from services.domain.errors import InvalidInputError
from services.domain.locomo import read_locomo


def conversation(**changes: Any) -> dict[str, Any]:
    return {
        "sample_id": "conv-1",
        "conversation": {
            "speaker_a": "Andrea",
            "session_10_date_time": "10:05 am on 2 March, 2024",
            "session_10": [{"speaker": "Bruno", "dia_id": "D10:1", "text": "I sold the boat."}],
            "session_2_date_time": "1:56 pm on 8 May, 2023",
            "session_2": [
                {"speaker": "Andrea", "dia_id": "D2:1", "text": "I bought a boat.", "blip_caption": "a boat"},
                {"speaker": "Bruno", "dia_id": "D2:2", "text": "Lucky you!"},
            ],
        },
        "qa": [
            {"question": "Who bought a boat?", "evidence": ["D2:1"], "category": 4, "answer": "Andrea"},
            {"question": "What became of it?", "evidence": ["D2:1; D10:01", "D:2:2", "D"], "category": 1},
            {"question": "Who never said this?", "evidence": ["D2:1"], "category": 5},
            {"question": "What is nowhere?", "evidence": ["D7:7"], "category": 2},
        ],
    } | changes


def test_sessions_come_in_their_order_and_messages_a_minute_apart() -> None:
    (read,) = read_locomo([conversation()], "small.json")
    assert [(message.id, message.speaker, f"{message.sent_at:%Y-%m-%d %H:%M}") for message in read.messages] == [
        ("D2:1", "Andrea", "2023-05-08 13:56"),
        ("D2:2", "Bruno", "2023-05-08 13:57"),
        ("D10:1", "Bruno", "2024-03-02 10:05"),
    ]


def test_evidence_is_read_however_it_is_written_and_questions_without_any_are_left_out() -> None:
    (read,) = read_locomo([conversation()], "small.json")
    assert [(question.category, question.evidence) for question in read.questions] == [
        ("single_hop", frozenset({"D2:1"})),
        ("multi_hop", frozenset({"D2:1", "D10:1", "D2:2"})),
    ]


@pytest.mark.parametrize(
    "document",
    [
        {},
        "text",
        [1],
        [conversation(conversation=[])],
        [conversation(sample_id=7)],
        [conversation(conversation={"session_1": []})],
        [conversation(conversation={"session_1": [{}], "session_1_date_time": "1:56 pm on 8 May, 2023"})],
        [conversation(conversation={"session_1": [], "session_1_date_time": "yesterday"})],
        [conversation(qa=[{"question": "secret"}])],
        [conversation(qa=[{"question": "secret", "category": 1, "evidence": [7]}])],
    ],
)
def test_another_format_is_refused_without_quoting_it(document: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        read_locomo(document, "small.json")
    assert "small.json" in str(refused.value)
    assert "secret" not in str(refused.value)
