"""Claude's export: `conversations.json`, a list of messages for each conversation, each of them in blocks."""

from services.imports.conversations import Conversation, Fields, missing, objects, text_or_none

_ROLES = {"human": "user", "assistant": "assistant"}


def is_conversation(found: Fields) -> bool:
    return isinstance(found.get("chat_messages"), list)


def read(found: Fields) -> Conversation:
    listed = found.get("chat_messages")
    if not isinstance(listed, list):
        missing("chat_messages", "a list of messages")
    messages = [fields for message in objects(listed) for fields in _messages(message)]
    return Conversation(text_or_none(found.get("uuid")), messages, found.get("created_at"))


def _messages(message: Fields) -> list[Fields]:
    """Cut a message where a tool answers, since that is a message of its own; an empty one gives none."""
    blocks = objects(message.get("content"))
    cut: list[Fields] = [_part(message)]
    for block in blocks:
        match block.get("type"):
            case "text":
                _say(cut[-1], text_or_none(block.get("text")))
            case "tool_use":
                calls = cut[-1]["tool_calls"]
                call = {"name": block.get("name"), "input": block.get("input")}
                cut[-1]["tool_calls"] = [*calls, call] if isinstance(calls, list) else [call]
            case "tool_result":
                answer = _part(message) | {"role": "tool"}
                for said in objects(block.get("content")):
                    _say(answer, text_or_none(said.get("text")))
                cut += [answer, _part(message)]
    if not blocks:
        _say(cut[0], text_or_none(message.get("text")))
    return _named(message, [part for part in cut if part["content"] or part["tool_calls"]])


def _part(message: Fields) -> Fields:
    files = [*objects(message.get("attachments")), *objects(message.get("files"))]
    sender = message.get("sender")
    return {
        "role": _ROLES.get(sender, sender) if isinstance(sender, str) else None,
        "content": "",
        "sent_at": message.get("created_at"),
        "tool_calls": [],
        "metadata": {"attachments": len(files)} if files else {},
    }


def _say(part: Fields, text: str | None) -> None:
    if text:
        part["content"] = f"{part['content']}\n\n{text}" if part["content"] else text


def _named(message: Fields, parts: list[Fields]) -> list[Fields]:
    name = text_or_none(message.get("uuid"))
    if name is None:
        return parts
    return [{"id": f"{name}:{index}" if index else name} | part for index, part in enumerate(parts)]
