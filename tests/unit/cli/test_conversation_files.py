import json
from pathlib import Path

import pytest

from services.cli.conversation import read_json_lines, read_text
from services.cli.demo import SAMPLE_ROOM, read_chat
from services.cli.questions import questions_about
from services.cli.replay import turns
from services.domain.errors import InvalidInputError


def line(**fields: object) -> bytes:
    return json.dumps({"role": "user", "content": "I moved to Lima."} | fields).encode()


def test_a_message_without_an_id_gets_the_same_one_at_every_reading() -> None:
    lines = [line(), line(), line(id="own")]
    first, second = (read_json_lines(lines, "user:42", source="f", derive_ids=True) for _ in range(2))
    assert first == second
    assert len({message.id for message in first}) == 3
    assert first[2].id == "own"


def test_people_stand_where_a_line_names_none() -> None:
    lines = [line(), line(user_id="8", company_id="c")]
    read = read_json_lines(lines, "room:team", source="f", user_id="7", company_id="d")
    assert [(message.user_id, message.company_id) for message in read] == [("7", "d"), ("8", "c")]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (line(role="robot"), "f, line 3: role: takes user, assistant, tool or system"),
        (line(content=None), "f, line 3: content: takes text"),
        (line(sent_at="yesterday"), "f, line 3: sent_at: takes"),
        (line(tool_calls="none"), "f, line 3: tool_calls: takes"),
        (b"[1]", "f, line 3: message: takes a JSON object"),
        (b"\xff", "f, line 3: message: takes JSON in UTF-8"),
    ],
)
def test_a_wrong_line_is_named_by_number_and_field(wrong: bytes, words: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        read_json_lines([line(), b"", wrong], "user:42", source="f")
    assert str(refused.value).startswith(words)


def test_nobodys_room_needs_to_know_who_speaks() -> None:
    for read in (read_json_lines, read_text):
        with pytest.raises(InvalidInputError, match="line 1: user_id"):
            read([line()], "room:team", source="f")


@pytest.mark.parametrize("wrong", [b"\xff", b"a\x00b"])
def test_text_that_cannot_be_stored_is_refused(wrong: bytes) -> None:
    with pytest.raises(InvalidInputError, match="line 2: content"):
        read_text([b"hello", wrong], "user:42", source="f")


def test_a_turn_is_what_follows_a_user_message() -> None:
    roles = ["assistant", "user", "assistant", "tool", "assistant", "user", "user"]
    messages = read_json_lines([line(role=role) for role in roles], "user:42", source="f")
    assert [[message.role for message in turn] for turn in turns(messages)] == [
        ["assistant"],
        ["user", "assistant", "tool", "assistant"],
        ["user"],
        ["user"],
    ]


def test_the_sample_is_read_with_its_questions() -> None:
    chat = read_chat(None, None, "demo")
    ids = {message.id for message in chat.messages}
    assert chat.room_id == SAMPLE_ROOM
    assert chat.questions
    assert all(set(question.answered_by) <= ids for question in chat.questions)


def test_a_file_has_a_room_and_questions_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "our chat.jsonl"
    said = [f"Please water the {plant} beside the {place} window" for plant, place in PLANTS]
    file.write_bytes(b"\n".join(line(content=text) for text in said))
    chat = read_chat(file, None, "7")
    assert chat.room_id == "room:demo-our-chat"
    assert {message.user_id for message in chat.messages} == {"7"}
    assert len(chat.questions) == 3
    for question in chat.questions:
        assert any(plant in question.text and place in question.text for plant, place in PLANTS)


PLANTS = [("orchid", "kitchen"), ("cactus", "bedroom"), ("ferns", "hallway"), ("basil", "balcony"), ("ivies", "attic")]


def test_a_conversation_of_short_words_has_no_questions() -> None:
    assert questions_about(read_json_lines([line(content="ok")], "user:42", source="f")) == []


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="FILE"):
        read_chat(tmp_path / "none.jsonl", None, "demo")
