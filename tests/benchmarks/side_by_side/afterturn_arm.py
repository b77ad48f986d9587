"""Our side."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from afterturn_client.memory_client import MemoryClient

from services.embedded.ports import free_port
from tests.benchmarks.side_by_side.arms import Arm, Outcome, Servers, started, stop
from tests.benchmarks.side_by_side.talk import Turn


class AfterturnArm(Arm):
    def __init__(
        self, servers: Servers, logs: Path, memory: MemoryClient, temporal: Sequence[int], proxy_port: int
    ) -> None:
        super().__init__(servers, logs)
        self.name = "Afterturn"
        self._memory = memory
        self._temporal = temporal
        self._proxy_url = f"http://127.0.0.1:{proxy_port}"
        self.proxy: asyncio.subprocess.Process | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, servers: Servers, logs: Path, *, temporal_pids: Sequence[int]) -> AsyncIterator["AfterturnArm"]:
        port = free_port()
        async with MemoryClient.connect(servers.redis_url, servers.temporal_address) as memory:
            arm = cls(servers, logs, memory, temporal_pids, port)
            arm.proxy = await started(
                ["services.llm_proxy"],
                {
                    "LLM_PROXY_PORT": str(port),
                    "OPENAI_COMPATIBLE_URL": servers.model_url,
                    "OLLAMA_URL_INTERNAL": "",
                    "LLM_PROXY_MAX_CONCURRENT": "256",
                },
                logs / "proxy.log",
            )
            try:
                await _until_up(arm._proxy_url)
                yield arm
            finally:
                await arm.stop_workers()
                await stop(arm.proxy)

    @property
    def database_url(self) -> str:
        return self.servers.database_url

    @property
    def roots(self) -> list[int]:
        proxy = [self.proxy.pid] if self.proxy and self.proxy.returncode is None else []
        return [*super().roots, *proxy, *self._temporal]

    def worker_command(self) -> list[str]:
        return ["services.worker"]

    def environment(self) -> dict[str, str]:
        return {**self.servers.settings, "LLM_PROXY_URL": self._proxy_url}

    async def record(self, turn: Turn) -> None:
        await self._memory.record_turn(turn.room_id, user=turn.user, assistant=turn.assistant, turn_id=turn.id)

    async def digested(self, rooms: str) -> dict[str, float]:
        async with self.reading() as connection:
            rows = await connection.fetch(
                "select m.id, extract(epoch from c.digested_at)::float8 as at from messages as m "
                "join chunks as c on c.room_id = m.room_id and m.seq between c.first_seq and c.last_seq "
                "where m.room_id like $1 || '%' and m.role = 'user' and c.state = 'digested'",
                rooms,
            )
        return {row["id"].removesuffix(":user"): row["at"] for row in rows}

    async def count(self, rooms: str) -> int:
        async with self.reading() as connection:
            counted = await connection.fetchval(
                "select coalesce(sum(last_seq - first_seq + 1), 0) / 2 from chunks "
                "where room_id like $1 || '%' and state = 'digested'",
                rooms,
            )
        return int(counted)

    async def outcome(self, rooms: str, turns: int) -> Outcome:
        """A message counts as doubled that is archived twice, or that two chunks or two summaries of chunks cover."""
        async with self.reading() as connection:
            messages = await connection.fetchval("select count(*) from messages where room_id like $1 || '%'", rooms)
            distinct = await connection.fetchval(
                "select count(distinct id) from messages where room_id like $1 || '%'", rooms
            )
            [(digested, doubled)] = await connection.fetch(
                "select count(*) filter (where times > 0), count(*) filter (where times > 1) from ("
                "  select m.uid, count(s.id) as times from messages as m"
                "  join chunks as c on c.room_id = m.room_id and m.seq between c.first_seq and c.last_seq"
                "  left join summaries as s on s.chunk_id = c.id and s.kind = 'chunk' and c.state = 'digested'"
                "  where m.room_id like $1 || '%' group by m.uid) as counted",
                rooms,
            )
        stranded = await self.stranded(rooms)
        return Outcome(2 * turns - distinct - stranded, stranded, messages - digested, doubled + messages - distinct)


async def _until_up(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        while True:
            try:
                if (await http.get("/health")).is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
