"""How messages are shown to a model and to an embedder, and how many tokens a text takes at most."""

import json
import re
from collections.abc import Sequence
from typing import Any

from services.domain.messages import ArchivedMessage

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
GAP = " [...] "
HEAD_SHARE = 2 / 3
CONTEXT_TOKENS = 120

# Three letters of a word, a run of spaces, a line's end, or one character of anything else; a single space is no token.
_TOKEN = re.compile(r"[A-Za-z][a-z]{0,2}|[^\sA-Za-z]|[^\S\n]{2,}|\n")


def estimate_tokens(text: str) -> int:
    """Say how many tokens `text` takes at most, for any byte-level tokenizer, without one.

    A token for three letters of a word, one for each byte of anything else. Held against SmolLM2's own tokenizer (small
    and English, so among the greediest): 1.05 times the truth in Spanish and German, 1.5 in English and Chinese, 2 in
    Russian and in capitals; only random letters, which no language writes, fall short (0.6).
    """
    tokens = len(_TOKEN.findall(text))
    if text.isascii():
        return tokens
    solid = "".join(text.split())
    return tokens + _bytes(solid) - len(solid)


def line(message: ArchivedMessage) -> str:
    """Show one message: who, what, and the tools that were called."""
    calls = " ".join(_call(call) for call in message.tool_calls)
    said = " ".join(part for part in (message.content.strip(), f"[called {calls}]" if calls else "") if part)
    return f"{message.speaker}: {said}"


def day(message: ArchivedMessage) -> str:
    """Head a day's messages, so that `tomorrow` and `on Friday` can be understood."""
    return f"[{WEEKDAYS[message.sent_at.weekday()]} {message.sent_at.date().isoformat()}]"


def transcript(messages: Sequence[ArchivedMessage]) -> str:
    """Show messages one a line, under a heading for each day."""
    lines: list[str] = []
    today = ""
    for message in messages:
        heading = day(message)
        if heading != today:
            lines.append(heading)
            today = heading
        lines.append(line(message))
    return "\n".join(lines)


def embedding_text(message: ArchivedMessage, previous: ArchivedMessage | None) -> str:
    """Give what is embedded for a message: its words, then those it follows.

    The message comes first, so that an embedder that cuts long input cuts the context.
    """
    own = message.content.strip() or line(message)
    if previous is None or not previous.content.strip():
        return own
    return f"{own}\n{shorten(previous.content.strip(), CONTEXT_TOKENS)}"


def shorten(text: str, max_tokens: int) -> str:
    """Give the part of `text` that is shown to a model: head and tail, with a marked gap."""
    # Nothing takes more tokens than bytes.
    if _bytes(text) <= max_tokens or estimate_tokens(text) <= max_tokens:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if estimate_tokens(_head_and_tail(text, middle)) <= max_tokens:
            low = middle
        else:
            high = middle - 1
    return _head_and_tail(text, low) if low else ""


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _head_and_tail(text: str, characters: int) -> str:
    head = round(characters * HEAD_SHARE)
    return f"{text[:head]}{GAP}{text[len(text) - (characters - head) :]}"


def _call(call: dict[str, Any]) -> str:
    function = call.get("function")
    inner = function if isinstance(function, dict) else call
    name = inner.get("name") or call.get("tool") or "tool"
    arguments = inner.get("arguments", inner.get("args", inner.get("input", "")))
    shown = (
        arguments
        if isinstance(arguments, str)
        else json.dumps(arguments, ensure_ascii=False, sort_keys=True, default=str)
    )
    return f"{name}({shown})"
