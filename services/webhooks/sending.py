"""Sends a signed event to an endpoint, and to no address that it has no business with."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

import httpx

from services.domain.errors import EndpointFailedError, InvalidInputError
from services.domain.webhooks import Address, address_of, is_public, sign
from services.llm_proxy.retry_after import retry_after_seconds

# So much of an answer is read at the most: only its status counts.
MOST_ANSWER_BYTES = 4_096
_MOST_ADDRESSES = 4
# Servers drop an idle connection after 5 s or so; a request sent at that moment would fail for nothing.
_IDLE_SECONDS = 2.0
_GONE = 410


class EndpointGoneError(EndpointFailedError):
    """The endpoint says that it wants no more events, ever."""


class Connection:
    """Posts to one endpoint, on the loop that opened it. Opened with `Connection.open`."""

    def __init__(self, transport: httpx.AsyncHTTPTransport, url: str, *, seconds: float, allow_private: bool) -> None:
        self._transport = transport
        self._url = url
        self._seconds = seconds
        self._allow_private = allow_private

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, seconds: float, allow_private: bool) -> AsyncIterator[Self]:
        """Open a client for one endpoint alone, so that a slow one keeps no connection from another."""
        plain = url.startswith("http:")
        verify = False if plain else await asyncio.to_thread(httpx.create_ssl_context)
        # A transport alone: a client would log the URL, keep cookies, and may ask a proxy, which looks up hosts itself.
        async with httpx.AsyncHTTPTransport(
            verify=verify, trust_env=False, limits=httpx.Limits(keepalive_expiry=_IDLE_SECONDS)
        ) as transport:
            yield cls(transport, url, seconds=seconds, allow_private=allow_private)

    async def post(self, event_id: UUID, body: bytes, *, secret: str) -> None:
        """Send a body under an event's id; raise `EndpointFailedError` unless the endpoint takes it.

        Its message tells a status or a kind of failure, and never the URL, which may hold a token.
        """
        try:
            async with asyncio.timeout(self._seconds):
                status, retry_after = await self._post(str(event_id), body, secret)
        except TimeoutError:
            raise EndpointFailedError(f"no answer within {self._seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise EndpointFailedError(f"cannot be reached ({type(error).__name__})") from None
        if status == _GONE:
            raise EndpointGoneError("status 410", status=status)
        if not 200 <= status < 300:  # noqa: PLR2004  the classes of HTTP
            raise EndpointFailedError(f"status {status}", status=status, retry_after=retry_after)

    async def _post(self, event_id: str, body: bytes, secret: str) -> tuple[int, float | None]:
        address = self._address()
        ips = await self._pinned(address)
        for ip in ips[:-1]:
            # Nothing was sent where no connection was made.
            with suppress(httpx.ConnectError):
                return await self._post_to(ip, address, event_id, body, secret)
        return await self._post_to(ips[-1], address, event_id, body, secret)

    async def _post_to(
        self, ip: str, address: Address, event_id: str, body: bytes, secret: str
    ) -> tuple[int, float | None]:
        now = int(time.time())
        headers = {
            "Host": address.authority,
            "Content-Type": "application/json",
            "User-Agent": "afterturn-webhooks",
            "webhook-id": event_id,
            "webhook-timestamp": str(now),
            "webhook-signature": sign(secret, id=event_id, timestamp=now, body=body),
        }
        # The certificate must be the named host's, whichever address is asked.
        extensions = {"sni_hostname": address.host}
        request = httpx.Request("POST", _url(address, ip), content=body, headers=headers, extensions=extensions)
        async with aclosing(await self._transport.handle_async_request(request)) as answer:
            await _read_a_little(answer)
            asked = answer.headers.get("Retry-After")
            return answer.status_code, retry_after_seconds(asked, datetime.now(UTC))

    def _address(self) -> Address:
        try:
            return address_of(self._url, allow_private=self._allow_private)
        except InvalidInputError:
            raise EndpointFailedError("the address is not allowed (WEBHOOK_ALLOW_PRIVATE)") from None

    async def _pinned(self, address: Address) -> list[str]:
        """Look the host up now and keep to what was found: a second look could find another address."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise EndpointFailedError("its host is not known") from None
        ips = dict.fromkeys(str(each[4][0]) for each in found)
        allowed = [ip for ip in ips if self._allow_private or is_public(ip)]
        if not allowed:
            raise EndpointFailedError("its host has no public address (WEBHOOK_ALLOW_PRIVATE)")
        return allowed[:_MOST_ADDRESSES]


def body_of(event_id: UUID, type_: str, occurred_at: datetime, data: dict[str, Any]) -> bytes:
    """Write an event as it is sent: the same bytes at every attempt."""
    event = {"id": str(event_id), "type": type_, "timestamp": occurred_at.astimezone(UTC).isoformat(), "data": data}
    return json.dumps(event, separators=(",", ":"), sort_keys=True).encode()


def _url(address: Address, ip: str) -> httpx.URL:
    return httpx.URL(f"{address.scheme}://{f'[{ip}]' if ':' in ip else ip}:{address.port}{address.target}")


async def _read_a_little(answer: httpx.Response) -> None:
    read = 0
    async for part in answer.aiter_raw():
        read += len(part)
        if read > MOST_ANSWER_BYTES:
            return
