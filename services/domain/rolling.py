"""What a model is shown when a room's rolling summary is made."""

from collections.abc import Sequence

from services.domain.transcripts import estimate_tokens, shorten

PREVIOUS_SHARE = 0.5
# Less of a part says nothing.
LEAST_TOKENS = 20


def rolling_input(previous: str, parts: Sequence[str], *, max_tokens: int) -> tuple[str, str]:
    """Give the summary so far and the new chunks' summaries, oldest first, within `max_tokens` together.

    What is too long keeps its head and tail; the new parts share alike what the summary so far leaves them, the newest
    alone where there are too many to say anything each.
    """
    wanted = sum(estimate_tokens(_item(part)) for part in parts)
    room_for_previous = max(int(max_tokens * PREVIOUS_SHARE), max_tokens - wanted)
    kept = shorten(previous.strip(), room_for_previous)
    left = max_tokens - estimate_tokens(kept)
    if wanted <= left:
        return kept, "".join(_item(part) for part in parts).rstrip()
    shown = parts[-max(1, left // LEAST_TOKENS) :]
    share = left // len(shown) - estimate_tokens(_item(""))
    return kept, "".join(_item(shorten(part.strip(), share)) for part in shown).rstrip()


def _item(part: str) -> str:
    return f"- {part.strip()}\n"
