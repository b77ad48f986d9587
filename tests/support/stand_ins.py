"""Programs that stand in for the LLM proxy and the worker where only the stack itself is tested."""

import sys

from services.embedded.addresses import StackAddresses
from services.embedded.ports import accepts
from services.embedded.program import ProgramPlan

_SLEEP = "import time; time.sleep(600)"


def stand_ins(proxy_port: int) -> list[ProgramPlan]:
    async def listens(addresses: StackAddresses, started: float) -> bool:
        del addresses, started
        return accepts(proxy_port)

    async def at_once(addresses: StackAddresses, started: float) -> bool:
        return bool(addresses and started)

    serve = [sys.executable, "-m", "http.server", str(proxy_port), "--bind", "127.0.0.1"]
    return [
        ProgramPlan("LLM proxy", serve, listens, port=proxy_port, port_variable="LLM_PROXY_PORT"),
        ProgramPlan("Worker", [sys.executable, "-c", _SLEEP], at_once),
    ]
