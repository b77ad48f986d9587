"""Finds out who asks: by an API key, by a token, or, on this machine alone, by being here."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from services.credential import ANYBODY, Credential, credential_of
from services.domain.credentials import prefix_of
from services.domain.errors import TransientError
from services.http.loopback import is_loopback
from services.memory_api.problems import ProblemError
from services.memory_api.remembered import Remembered
from services.memory_api.tokens import TokenRefusedError, Tokens
from services.postgres.api.keys import ApiKey, ApiKeys

# A key that another process revoked counts for so long; while Postgres is away, a known one counts on, so that turns
# can still be recorded.
KEY_SECONDS = 10.0
KEY_SECONDS_AWAY = 3_600.0
USED_AFTER = timedelta(hours=1)
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


class Credentials:
    """`open_here` says that only this machine's programs reach us: then no credential is needed until a key is made.

    Where there was one, it stays needed, though it was revoked or is over: `afterturn keys create` makes the next.
    """

    def __init__(self, keys: ApiKeys, tokens: Tokens | None, *, open_here: bool) -> None:
        self._keys = keys
        self._tokens = tokens
        self._open_here = open_here and tokens is None
        self._known = Remembered[str, ApiKey](seconds=KEY_SECONDS, seconds_away=KEY_SECONDS_AWAY)
        self._closed = Remembered[str, bool](seconds=KEY_SECONDS, seconds_away=KEY_SECONDS_AWAY)

    async def of(self, request: HTTPConnection) -> Credential:
        """Raise a 401 for whoever is not known."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return await self._without(request)
        found = None
        if scheme.lower() == "bearer":
            found = await self._with(given.strip())
        if found is None:
            raise _refused()
        return found

    def forget(self) -> None:
        """Look again: a key was made or revoked."""
        self._known.forget()
        self._closed.forget()

    async def _without(self, request: HTTPConnection) -> Credential:
        if not self._open_here or not _is_from_here(request):
            raise _refused()
        if await self._closed.get("any", self._keys.any_made):
            raise _refused()
        return ANYBODY

    async def _with(self, given: str) -> Credential | None:
        prefix = prefix_of(given)
        if prefix is not None:
            key = await self._known.get(prefix, lambda: self._look_up(prefix))
            return credential_of(key, given) if key else None
        if self._tokens is None:
            return None
        with suppress(TokenRefusedError):
            return await self._tokens.read(given)
        return None

    async def _look_up(self, prefix: str) -> ApiKey | None:
        key = await self._keys.find(prefix)
        now = datetime.now(UTC)
        if key and (key.last_used_at is None or now - key.last_used_at > USED_AFTER):
            with suppress(TransientError):
                await self._keys.used(key.id)
        return key


def _is_from_here(request: HTTPConnection) -> bool:
    """Refuse a web page that a browser on this machine shows, and who comes by a proxy on it: both reach loopback."""
    if any(name in request.headers for name in FORWARDED):
        return False
    origin = request.headers.get("Origin")
    return _is_ours(f"//{request.headers.get('Host', '')}") and (origin is None or _is_ours(origin))


def _is_ours(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False


def _refused() -> ProblemError:
    return ProblemError(401, headers={"WWW-Authenticate": 'Bearer realm="afterturn"'})
