"""A producer with the standard library alone: `python over_http.py ROOM_ID < messages.jsonl`."""

import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from typing import Any

AT_ONCE = 100
TRIES = 5
TOO_MANY, FAILED = 429, 500


def post(api_url: str, api_key: str | None, room_id: str, messages: Sequence[dict[str, Any]]) -> list[str]:
    """Record messages and give their ids. They have ids before the first try, so that trying again doubles nothing."""
    named = [{"id": uuid.uuid4().hex, **message} for message in messages]
    for start in range(0, len(named), AT_ONCE):
        _post(f"{api_url}/v1/rooms/{room_id}/messages", api_key, {"messages": named[start : start + AT_ONCE]})
    return [message["id"] for message in named]


def _post(url: str, api_key: str | None, body: object) -> None:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")  # noqa: S310  the caller's URL
    for left in reversed(range(TRIES)):
        try:
            urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
        except urllib.error.HTTPError as error:
            if not left or not (error.code == TOO_MANY or error.code >= FAILED):
                raise
            error.close()
            time.sleep(float(error.headers.get("Retry-After", "1")))
        except OSError:
            if not left:
                raise
            time.sleep(1)
        else:
            return


def main() -> None:
    messages = [json.loads(line) for line in sys.stdin if line.strip()]
    url = os.environ.get("AFTERTURN_API_URL", "http://localhost:8080")
    try:
        ids = post(url, os.environ.get("AFTERTURN_API_KEY"), sys.argv[1], messages)
    except urllib.error.HTTPError as error:
        with error:
            sys.exit(error.read().decode())  # which field is wrong, and what it takes
    print(len(ids), "messages")


if __name__ == "__main__":
    main()
