"""Lua scripts on Redis, sent by their digest."""

from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from redis.exceptions import NoScriptError

from afterturn_client.redis_connection import AnyRedis


class Script:
    """A Lua script: one round trip a run, two where the server has not seen it yet."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, redis: AnyRedis, keys: Sequence[str | bytes], args: Sequence[str | bytes | int]) -> Any:  # noqa: ANN401  whatever the script answers
        """Raise what redis-py raises; with NOSCRIPT nothing was carried out, so sending it again is safe."""
        try:
            return await redis.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await redis.eval(self.text, len(keys), *keys, *args)
