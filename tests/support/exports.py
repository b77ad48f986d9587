"""Files as other systems export them, made up."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ChatGPTNode = dict[str, Any]


def line(number: int, **fields: object) -> str:
    """One message as a line: odd ones are the assistant's."""
    role = "assistant" if number % 2 else "user"
    sent_at = f"2026-03-{1 + number // 1440 % 28:02}T{number // 60 % 24:02}:{number % 60:02}:00Z"
    message = {"id": f"m{number}", "role": role, "content": f"says {number}", "sent_at": sent_at}
    return json.dumps(message | fields) + "\n"


def write_lines(path: Path, numbers: Sequence[int], **fields: object) -> Path:
    with path.open("w") as file:
        file.writelines(line(number, **fields) for number in numbers)
    return path


def write_conversations(path: Path, conversations: int, messages: int) -> Path:
    """Lines of several conversations, one message of each in turn."""
    with path.open("w") as file:
        file.writelines(
            line(conversation * messages + message, conversation_id=f"c{conversation}")
            for message in range(messages)
            for conversation in range(conversations)
        )
    return path


def node(name: str, parent: str | None, role: str = "user", text: str | None = None, **message: object) -> ChatGPTNode:
    """A node of ChatGPT's tree; without a text it is an empty one."""
    said = {
        "id": name,
        "author": {"role": role},
        "content": {"content_type": "text", "parts": [text]},
        "recipient": "all",
        "metadata": {},
    }
    return {"id": name, "parent": parent, "children": [], "message": None if text is None else said | message}


def chatgpt(name: str, nodes: Sequence[ChatGPTNode], current: str | None = None, **fields: object) -> dict[str, Any]:
    mapping = {each["id"]: each for each in nodes}
    for each in nodes:
        if each["parent"] in mapping:
            mapping[each["parent"]]["children"].append(each["id"])
    found = {"conversation_id": name, "title": "T", "create_time": 1_772_000_000.5, "mapping": mapping}
    return found | {"current_node": current or nodes[-1]["id"]} | fields


def chat(name: str, turns: int) -> dict[str, Any]:
    """A conversation of ChatGPT's without branches."""
    nodes = [node(f"{name}-root", None)]
    for turn in range(turns):
        nodes.append(node(f"{name}-u{turn}", nodes[-1]["id"], "user", f"asks {turn}", create_time=1_772_000_000 + turn))
        nodes.append(node(f"{name}-a{turn}", nodes[-1]["id"], "assistant", f"hears {turn}", create_time=None))
    return chatgpt(name, nodes)


def claude(name: str, texts: Sequence[str]) -> dict[str, Any]:
    messages = [
        {
            "uuid": f"{name}-{number}",
            "sender": "assistant" if number % 2 else "human",
            "text": text,
            "content": [{"type": "text", "text": text}],
            "created_at": f"2026-03-02T10:00:{number:02}.000000Z",
            "attachments": [],
            "files": [],
        }
        for number, text in enumerate(texts)
    ]
    return {"uuid": name, "name": "T", "created_at": "2026-03-02T09:00:00Z", "chat_messages": messages}


def locomo(name: str, sessions: Sequence[Sequence[str]]) -> dict[str, Any]:
    talk: dict[str, Any] = {"speaker_a": "Ana", "speaker_b": "Luis"}
    for session, texts in enumerate(sessions, 1):
        talk[f"session_{session}_date_time"] = f"1:{session:02} pm on 8 May, 2023"
        talk[f"session_{session}"] = [
            {"speaker": ("Ana", "Luis")[turn % 2], "dia_id": f"D{session}:{turn + 1}", "text": text}
            for turn, text in enumerate(texts)
        ]
    return {"sample_id": name, "conversation": talk, "qa": []}


def million_lines(messages: int, *, a_conversation: int = 50) -> Iterator[str]:
    """As many lines as wanted, in conversations that follow each other."""
    for number in range(messages):
        text = f"says {number}, moved to Lima and needs a flat near the sea with {number % 7} rooms. " * 2
        yield line(number, content=text, conversation_id=f"c{number // a_conversation}")
