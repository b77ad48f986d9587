"""ChatGPT's export: `conversations.json`, a tree of messages for each conversation."""

from services.imports.conversations import Conversation, Fields, missing, objects, text_or_none

# What the model thought, and what stands in the settings, was said by nobody.
_SAID_BY_NOBODY = frozenset({"thoughts", "reasoning_recap", "user_editable_context", "model_editable_context"})
_EVERYBODY = "all"


def is_conversation(found: Fields) -> bool:
    return isinstance(found.get("mapping"), dict)


def read(found: Fields) -> Conversation:
    """Give the branch that was shown last; what was said anew or answered again instead stays out."""
    mapping = found.get("mapping")
    if not isinstance(mapping, dict):
        missing("mapping", "the conversation's tree")
    messages = []
    for node_id in branch(mapping, found.get("current_node")):
        node = mapping[node_id]
        message = node.get("message")
        fields = _message(message, node_id) if isinstance(message, dict) else None
        if fields is not None:
            messages.append(fields)
    name = text_or_none(found.get("conversation_id")) or text_or_none(found.get("id"))
    return Conversation(name, messages, found.get("create_time"))


def branch(mapping: dict[str, object], current: object) -> list[str]:
    """Give the ids of the nodes from the root to `current`, or to the last leaf where that is missing."""
    node_id = current if isinstance(current, str) and current in mapping else _last_leaf(mapping)
    path: dict[str, None] = {}
    while isinstance(node_id, str) and node_id not in path:
        node = mapping.get(node_id)
        if not isinstance(node, dict):
            break
        path[node_id] = None
        node_id = node.get("parent")
    return list(reversed(path))


def _last_leaf(mapping: dict[str, object]) -> str | None:
    nodes = {name: node for name, node in mapping.items() if isinstance(node, dict)}
    parents = {node.get("parent") for node in nodes.values() if isinstance(node.get("parent"), str)}
    return next((name for name in reversed(nodes) if name not in parents), None)


def _message(message: Fields, node_id: str) -> Fields | None:
    """Read a node's message; None for one that nobody saw or that says nothing."""
    content = message.get("content")
    if (
        not isinstance(content, dict)
        or text_or_none(content.get("content_type")) in _SAID_BY_NOBODY
        or _is_hidden(message)
    ):
        return None
    text, attachments = _text(content)
    if not text.strip() and not attachments:
        return None
    author = message.get("author")
    author = author if isinstance(author, dict) else {}
    metadata: Fields = {"attachments": attachments} if attachments else {}
    if author.get("role") == "tool" and text_or_none(author.get("name")):
        metadata["tool"] = author.get("name")
    fields: Fields = {
        "id": text_or_none(message.get("id")) or node_id,
        "role": author.get("role"),
        "content": text,
        "sent_at": message.get("create_time"),
        "metadata": metadata,
    }
    recipient = message.get("recipient")
    if author.get("role") == "assistant" and isinstance(recipient, str) and recipient != _EVERYBODY:
        call = {"type": "function", "function": {"name": recipient, "arguments": text}}
        return fields | {"content": "", "tool_calls": [call]}
    return fields


def _is_hidden(message: Fields) -> bool:
    metadata = message.get("metadata")
    return isinstance(metadata, dict) and metadata.get("is_visually_hidden_from_conversation") is True


def _text(content: Fields) -> tuple[str, int]:
    """Give the text, and how many images, sounds and files stood beside it."""
    parts = content.get("parts")
    if not isinstance(parts, list):
        found = (text_or_none(content.get(name)) for name in ("text", "result"))
        return next((text for text in found if text), ""), 0
    texts = [part for part in parts if isinstance(part, str)]
    others = objects(parts)
    spoken = [text for part in others if (text := text_or_none(part.get("text")))]
    return "\n\n".join(text for text in (*texts, *spoken) if text), len(others) - len(spoken)
