"""A producer that knows nothing of Afterturn but the name of a key: `python over_redis.py USER_ID < messages.jsonl`."""

import json
import os
import sys
from collections.abc import Iterable

from redis import Redis


def push(redis: Redis, user_id: str, lines: Iterable[str]) -> int:
    """Append each line's message to the person's buffer, in one command, and give how many there were.

    With an `id` of its own a message may be pushed again: it is stored once.
    """
    entries = [json.dumps(json.loads(line), ensure_ascii=False) for line in lines if line.strip()]
    if entries:
        redis.rpush(f"user:{user_id}:messages", *entries)
    return len(entries)


def main() -> None:
    with Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0")) as redis:
        print(push(redis, sys.argv[1], sys.stdin), "messages")


if __name__ == "__main__":
    main()
