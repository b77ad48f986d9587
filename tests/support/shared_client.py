"""The old failure: one `AsyncMemoryClient` used by one event loop after the other. Prints what each call came to."""

import asyncio
import json
import sys

from services.mem0_store.quiet_import import before_mem0

CALLS = 6


def main(url: str, api_key: str) -> None:
    before_mem0()
    from mem0.client.main import AsyncMemoryClient  # noqa: PLC0415

    shared = AsyncMemoryClient(api_key=api_key, host=url)
    outcomes = []
    for number in range(CALLS):
        call = shared.add(f"Call {number}.", user_id="somebody", metadata={}, infer=False)
        try:
            asyncio.run(call)
        except RuntimeError as error:
            outcomes.append(str(error))
        else:
            outcomes.append("ok")
    print(json.dumps(outcomes))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
