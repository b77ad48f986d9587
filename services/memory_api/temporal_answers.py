from collections.abc import Iterator
from contextlib import contextmanager

from temporalio.service import RPCError

from services.memory_api.problems import unavailable


@contextmanager
def temporal_answers() -> Iterator[None]:
    """Let a Temporal that is away be a 503; its own words may name anything."""
    try:
        yield
    except RPCError as error:
        raise unavailable(f"Temporal answers {error.status.name}.") from None
    except RuntimeError as error:
        # What the client raises where it cannot connect.
        raise unavailable(f"Temporal does not answer ({type(error).__name__}).") from None
