"""What each format's messages become."""

import io
import json
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from afterturn_client.messages import Message
from afterturn_client.rooms import is_id

from services.domain.messages import Rejected
from services.imports.chatgpt import branch
from services.imports.said import FORMATS, Format, Said, pieces, said_in
from tests.support.exports import chat, chatgpt, claude, line, locomo, node


def read(reads: Format, found: object) -> list[Said]:
    text = found if isinstance(found, str) else json.dumps(found)
    return [said for piece in pieces(io.BytesIO(text.encode()), reads, 0, 0) for said in said_in(piece, reads)]


def messages(reads: Format, found: object) -> list[Message]:
    said = read(reads, found)
    assert all(isinstance(each.read, Message) for each in said), said
    return [each.read for each in said if isinstance(each.read, Message)]


def test_chatgpts_shown_branch_is_read_and_the_others_stay_out() -> None:
    nodes = [
        node("root", None),
        node("system", "root", "system", ""),
        node("asks", "system", "user", "Where?", create_time=1_772_000_000.25),
        node("first answer", "asks", "assistant", "There."),
        node("again", "asks", "assistant", "Here.", create_time=1_772_000_060),
        node("thanks", "again", "user", "Thanks"),
    ]
    found = messages("chatgpt", [chatgpt("c", nodes)])
    assert [(message.role, message.content) for message in found] == [
        ("user", "Where?"),
        ("assistant", "Here."),
        ("user", "Thanks"),
    ]
    assert [message.sent_at for message in found] == [
        datetime.fromtimestamp(moment, UTC) for moment in (1_772_000_000.25, 1_772_000_060, 1_772_000_060)
    ]
    assert all(message.id and is_id(message.id) for message in found)
    other = messages("chatgpt", [chatgpt("c", nodes, current="first answer")])
    assert [message.content for message in other] == ["Where?", "There."]


@pytest.mark.parametrize("current", [None, "nowhere", 7, ["thanks"]])
def test_without_a_current_node_the_last_leaf_is_taken(current: Any) -> None:
    mapping: dict[str, Any] = {each["id"]: each for each in [node("a", None), node("b", "a"), node("c", "b")]}
    assert branch(mapping, current) == ["a", "b", "c"]


def test_a_tree_that_runs_in_a_circle_or_has_holes_ends() -> None:
    circle: dict[str, Any] = {"a": node("a", "b"), "b": node("b", "a")}
    assert branch(circle, "a") == ["b", "a"]
    assert branch(circle, None) == []
    hole: dict[str, Any] = {"a": node("a", "gone"), "b": "no node"}
    assert branch(hole, "a") == ["a"]
    assert branch(hole, "b") == []
    assert branch({}, None) == []


def test_chatgpts_tools_thoughts_images_and_hidden_messages() -> None:
    def content(name: str, role: str, content: dict[str, object], **message: object) -> dict[str, Any]:
        return node(name, None, role, "", content=content, **message)

    nodes = [
        content("hidden", "system", {"parts": ["rules"]}, metadata={"is_visually_hidden_from_conversation": True}),
        content("settings", "user", {"content_type": "user_editable_context", "user_profile": "about me"}),
        content("image", "user", {"parts": [{"content_type": "image_asset_pointer"}, "What is it?", ""]}),
        content("thinks", "assistant", {"content_type": "thoughts", "thoughts": [{"content": "hm"}]}),
        content("calls", "assistant", {"content_type": "code", "text": "2+2"}, recipient="python"),
        content(
            "result",
            "tool",
            {"content_type": "execution_output", "text": "4"},
            author={"role": "tool", "name": "python"},
        ),
        content("spoken", "user", {"parts": [{"content_type": "audio_transcription", "text": "said aloud"}]}),
        content("nothing", "assistant", {"parts": ["", "  "]}),
        node("empty", None),
    ]
    for number, each in enumerate(nodes[1:]):
        each["parent"] = nodes[number]["id"]
    found = messages("chatgpt", [chatgpt("c", nodes)])
    assert [(message.role, message.content, message.metadata) for message in found] == [
        ("user", "What is it?", {"attachments": 1}),
        ("assistant", "", {}),
        ("tool", "4", {"tool": "python"}),
        ("user", "said aloud", {}),
    ]
    assert found[1].tool_calls == ({"type": "function", "function": {"name": "python", "arguments": "2+2"}},)


def test_a_conversation_without_times_gets_its_own() -> None:
    nodes = [node("a", None, "user", "hi"), node("b", "a", "assistant", "ho", create_time=None)]
    assert {m.sent_at for m in messages("chatgpt", [chatgpt("c", nodes)])} == {
        datetime.fromtimestamp(1_772_000_000.5, UTC)
    }
    assert {m.sent_at for m in messages("chatgpt", [chatgpt("c", nodes, create_time=None)])} == {None}


def test_claudes_messages_with_their_tools() -> None:
    found = claude("c", ["Where?", "I look."])
    found["chat_messages"][1]["content"] += [
        {"type": "thinking", "thinking": "hm"},
        {"type": "tool_use", "name": "maps", "input": {"q": "here"}},
        {"type": "tool_result", "content": [{"type": "text", "text": "Lima"}, {"type": "image"}]},
        {"type": "text", "text": "In Lima."},
    ]
    found["chat_messages"].append({"uuid": "c-2", "sender": "human", "text": "", "content": [], "files": [{"n": 1}]})
    read_messages = messages("claude", [found])
    assert [(m.id, m.role, m.content, len(m.tool_calls)) for m in read_messages] == [
        ("c-0", "user", "Where?", 0),
        ("c-1", "assistant", "I look.", 1),
        ("c-1:1", "tool", "Lima", 0),
        ("c-1:2", "assistant", "In Lima.", 0),
    ]
    assert read_messages[0].sent_at == datetime(2026, 3, 2, 10, 0, 0, tzinfo=UTC)
    old = {"uuid": "o", "chat_messages": [{"uuid": "m", "sender": "human", "text": "only text"}]}
    assert [m.content for m in messages("claude", [old])] == ["only text"]


def test_locomos_sessions_in_their_order_with_both_people() -> None:
    found = locomo("conv-1", [[f"s{session} t{turn}" for turn in range(2)] for session in range(11)])
    found["conversation"]["session_2"][0] |= {"img_url": ["u"], "blip_caption": "a dog"}
    read_messages = messages("locomo", [found])
    assert [m.content for m in read_messages if "s1 " not in m.content] == [
        f"s{session} t{turn}" for session in range(11) for turn in range(2) if session != 1
    ]
    assert "s1 t0\n[image: a dog]" in [m.content for m in read_messages]
    assert {m.user_id for m in read_messages} == {"conv-1:Ana", "conv-1:Luis"}
    assert read_messages[0].id == "D1:1"
    assert read_messages[0].sent_at == datetime(2023, 5, 8, 13, 1, tzinfo=UTC)
    assert messages("locomo", found) == read_messages  # one conversation without a list around it


def test_lines_with_and_without_a_conversation() -> None:
    text = line(0, conversation_id="c 1") + line(1, conversation_id=7) + line(2, mood="glad")
    said = read("jsonl", text)
    assert [each.conversation for each in said] == ["c 1", "7", None]
    assert [each.read.metadata for each in said if isinstance(each.read, Message)] == [{}, {}, {"mood": "glad"}]


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        ("{broken", "not_json", "message: takes JSON"),
        (line(0, role="robot"), "unknown_role", "role: takes user, assistant, tool or system"),
        (line(0, content="a\x00b"), "nul_character", "NUL"),
        (line(0, content="\ud800"), "lone_surrogate", "surrogates"),
        (line(0, sent_at="yesterday"), "bad_time", "sent_at"),
        (line(0, conversation_id={"a": 1}), "wrong_type", "conversation_id: takes text"),
        (line(0, conversation_id=""), "wrong_type", "conversation_id: takes text"),
        (line(0, content="x" * 2_000_000), "too_large", "takes at most 1048576 bytes"),
    ],
)
def test_a_bad_line_is_rejected_with_its_reason(text: str, reason: str, detail: str) -> None:
    [said] = read("jsonl", text)
    assert isinstance(said.read, Rejected)
    assert said.read.reason == reason
    assert detail in said.read.detail
    assert said.place == "line 1 at byte 0"
    assert len(said.raw) <= 1024 * 1024


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ('[{"mapping": ', "truncated"),
        ("[7]", "not_an_object"),
        ('[{"a": nonsense}]', "not_json"),
        ('[{"title": "no tree"}]', "missing_field"),
        ('[{"mapping": []}]', "missing_field"),
        ("[" + "[" * 100_000 + "]" * 100_000 + "]", "not_json"),
    ],
)
def test_a_bad_conversation_is_rejected_whole(found: str, reason: str) -> None:
    [said] = read("chatgpt", found)
    assert isinstance(said.read, Rejected)
    assert said.read.reason == reason


def test_one_bad_message_leaves_the_others_of_its_conversation() -> None:
    found = chat("c", 2)
    found["mapping"]["c-u1"]["message"]["content"]["parts"] = ["\ud800"]
    said = read("chatgpt", [found])
    assert [isinstance(each.read, Message) for each in said] == [True, True, False, True]
    assert said[2].place == "conversation 1 at byte 1, message 3"


def test_ids_of_other_systems_become_ours_and_stay_apart() -> None:
    nodes = [node(name, None, "user", name) for name in ("a b", "a-b", "a/b", "x" * 300, "x" * 301)]
    for number, each in enumerate(nodes[1:]):
        each["parent"] = nodes[number]["id"]
    ids = [message.id for message in messages("chatgpt", [chatgpt("c", nodes)])]
    assert len(set(ids)) == 5
    assert all(name is not None and is_id(name) for name in ids)


def shaken(random: Random, found: Any) -> Any:
    """The same with values of wrong types in some places."""
    if random.random() < 0.03:
        return random.choice([None, True, -1, 1e300, "", "text", [], {}, [[]], {"text": 1}])
    if isinstance(found, dict):
        return {name: shaken(random, value) for name, value in found.items() if random.random() > 0.02}
    return [shaken(random, value) for value in found] if isinstance(found, list) else found


@pytest.mark.parametrize("reads", FORMATS)
def test_no_shape_of_json_makes_a_reader_raise(reads: Format) -> None:
    random = Random(7)
    sample = [chat("c", 3), claude("d", ["a", "b"]), locomo("e", [["a", "b"]])]
    for _ in range(300):
        for said in read(reads, [shaken(random, each) for each in sample]):
            assert isinstance(said.read, (Message, Rejected))
