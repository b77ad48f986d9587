"""What of a model's answer is worth writing down."""

import re

# Thoughts may be cut off before they end; some models send the end of them only.
_THOUGHTS = re.compile(r"^.*</think>|<think>.*$", re.DOTALL)


def answer_in(text: str) -> str:
    """Leave out what a model thought aloud and what Postgres cannot hold."""
    return _THOUGHTS.sub("", text).replace("\x00", "").strip()
