"""Ids made of what other systems call things."""

import re
from hashlib import sha256

from afterturn_client.rooms import MAX_ID_LENGTH

_REFUSED = re.compile(r"[^A-Za-z0-9_.:-]+")
_MARK = 12


def safe_id(text: str, longest: int = MAX_ID_LENGTH) -> str:
    """Give an id of allowed characters; what had to be changed gets a mark, so that two names never become one."""
    clean = _REFUSED.sub("-", text)
    if clean == text and 0 < len(text) <= longest:
        return text
    mark = sha256(text.encode(errors="surrogatepass")).hexdigest()[:_MARK]
    return f"{clean[: longest - _MARK - 1]}-{mark}"


def digest(*parts: bytes) -> str:
    return sha256(b"\n".join(parts)).hexdigest()


def content_source(conversation: str | None, raw: bytes) -> str:
    """Name a message by what it says, in whichever file and wherever in it."""
    return f"import:{digest((conversation or '').encode(errors='surrogatepass'), raw)}"
