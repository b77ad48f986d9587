"""Serves the memory API: beyond loopback only where somebody could tell who asks."""

import asyncio
import logging

from services.domain.errors import TransientError
from services.http.loopback import is_loopback
from services.http.serving import serve_app
from services.memory_api.app import create_app
from services.postgres.api.keys import ApiKeys
from services.postgres.database import Database
from services.settings import DatabaseSettings, MemoryApiSettings, load

LOOPBACK = "127.0.0.1"
# Longer than anybody may wait for a message to be digested.
_SHUTDOWN_SECONDS = 65

logger = logging.getLogger(__name__)


def serve(settings: MemoryApiSettings) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight are finished first."""
    serve_app(
        create_app(settings),
        host=settings.memory_api_host,
        port=settings.memory_api_port,
        shutdown_seconds=_SHUTDOWN_SECONDS,
    )


def where_to_listen(settings: MemoryApiSettings) -> MemoryApiSettings:
    """Give the settings to serve with: on loopback alone where no credential is configured, saying so."""
    if is_loopback(settings.memory_api_host) or settings.believes_tokens or asyncio.run(_has_key()):
        return settings
    logger.warning(
        "the memory API listens on %s only: there is no API key (`afterturn keys create`) and no MEMORY_API_JWKS_URL",
        LOOPBACK,
    )
    return settings.model_copy(update={"memory_api_host": LOOPBACK})


async def _has_key() -> bool:
    """Ask for a usable key. Where Postgres is away nobody is let in without one, wherever we listen."""
    try:
        async with Database.open(load(DatabaseSettings).database_url, pool_size=1) as database:
            return await ApiKeys(database).any_made()
    except TransientError:
        return True
