"""Who asks, for what, and how patiently: read from the request's headers."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote

TENANT_HEADER = "X-Afterturn-Tenant"
PURPOSE_HEADER = "X-Afterturn-Purpose"
WAIT_HEADER = "X-Afterturn-Can-Wait"
NOBODY = "unknown"
_PURPOSE = re.compile(r"[a-z0-9_.:-]{1,40}", re.ASCII)
_MAX_TENANT = 200


@dataclass(frozen=True, slots=True)
class Caller:
    """Header lines that are missing or make no sense count as not sent: they never fail a request.

    `wait_seconds` is how long the caller would rather wait than be told to come back later.
    """

    tenant: str = NOBODY
    purpose: str = NOBODY
    request_id: str = ""
    wait_seconds: float = 0.0
    traceparent: str | None = None
    tracestate: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str], request_id: str) -> Self:
        """Read a caller; `headers` finds names in any case, as Starlette's do."""
        purpose = headers.get(PURPOSE_HEADER, "")
        return cls(
            tenant=unquote(headers.get(TENANT_HEADER, ""))[:_MAX_TENANT] or NOBODY,
            purpose=purpose if _PURPOSE.fullmatch(purpose) else NOBODY,
            request_id=request_id,
            wait_seconds=_seconds(headers.get(WAIT_HEADER, "")),
            traceparent=headers.get("traceparent"),
            tracestate=headers.get("tracestate"),
        )


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        return 0.0
    return seconds if 0 < seconds < math.inf else 0.0
