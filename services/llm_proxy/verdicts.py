"""What an error says: is the upstream out, is another one worth asking, is the request itself at fault?"""

from services.llm_proxy.errors import ProxyError

# A plain 500 is not among them: it is often one request that a server chokes on, and one tenant's request must not
# close the upstream for the others.
_OUTAGES = (502, 503, 504, 529)
_OUR_CODES = (
    "upstream_unreachable", "upstream_timeout", "upstream_bad_response", "model_not_found", "circuit_open",
    "queue_full", "queue_timeout", "over_budget",
)  # fmt: skip
_INPUT = (400, 404, 413, 422, 500)


def is_outage(error: ProxyError) -> bool:
    """Unreachable, late, broken or overloaded: the next request would most likely fare no better."""
    return error.status in _OUTAGES


def is_worth_another_upstream(error: ProxyError) -> bool:
    return error.status == 429 or error.status >= 500  # noqa: PLR2004


def may_be_one_input(error: ProxyError) -> bool:
    """Whether one of several merged inputs can have caused it, so that the others deserve a request of their own."""
    return error.status in _INPUT or error.code == "upstream_bad_response"


def reason(error: ProxyError) -> str:
    """A word for metrics and traces: ours, or the status; an upstream's own code may say anything."""
    return error.code if error.code in _OUR_CODES else str(error.status)
