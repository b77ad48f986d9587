"""Reaches Temporal as the client package does, by the settings."""

from collections.abc import Iterable

from afterturn_client.errors import InvalidFieldError
from afterturn_client.temporal_connection import open_temporal
from temporalio.client import Client
from temporalio.runtime import Runtime

from services.domain.errors import InvalidInputError
from services.settings import PayloadSettings, load


async def connect(*, lazy: bool = False, runtime: Runtime | None = None) -> Client:
    """Connect as `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY` or a profile say.

    A `lazy` client connects at its first call, so that Temporal may be down now.
    """
    keys = load(PayloadSettings).written
    try:
        return await open_temporal(runtime=runtime, payload_keys=keys, lazy=lazy)
    except InvalidFieldError as error:
        raise InvalidInputError(error.field, error.takes) from None


def query_list(words: Iterable[str]) -> str:
    """Write what follows `IN` in a query of runs; of words of ours, which hold no quotes."""
    return "(" + ", ".join(f"'{word}'" for word in words) + ")"
