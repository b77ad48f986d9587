"""What `/metrics` says: names and counts, in a registry of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from services.llm_proxy.errors import ProxyError
from services.llm_proxy.guarded import GuardedUpstream
from services.llm_proxy.verdicts import reason

_OTHERS = "others"
_MAX_TENANTS = 200
_MAX_PURPOSES = 50
_MAX_MODELS = 100
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128)
_STATES = ("closed", "half_open", "open")


@dataclass(frozen=True, slots=True)
class Who:
    tenant: str
    purpose: str
    model: str


class _Names:
    """Lets through so many different names and calls the rest `others`: callers choose them, and each is a series."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def __call__(self, name: str) -> str:
        if name not in self._known and len(self._known) >= self._limit:
            return _OTHERS
        self._known.add(name)
        return name


class Metrics:
    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._names = _Names(_MAX_TENANTS), _Names(_MAX_PURPOSES), _Names(_MAX_MODELS)
        who = ("tenant", "purpose", "model")
        self._requests = self._counter("requests", "Requests by the status they got.", "operation", "status", *who)
        self._tokens = self._counter("tokens", "Tokens that upstreams counted.", "kind", *who)
        self._cost = self._counter("cost", "Those tokens at the prices of the upstream file.", *who)
        self._uncounted = self._counter("uncounted", "Requests whose upstream did not say its tokens.", *who)
        self._failures = self._counter("upstream_failures", "Failed requests to upstreams.", "upstream", "reason")
        self._inputs = self._counter("embedding_inputs", "Embedding inputs, from the cache or not.", "from_cache")
        self._seconds = self._histogram("request_seconds", "From a request to its answer's end.", _SECONDS, "operation")
        self._first = self._histogram("first_event_seconds", "From a request to its first event.", _SECONDS)
        self._merged = self._histogram("merged_requests", "Embedding requests in one batch.", _BATCH)

    def watch(self, upstreams: Mapping[str, GuardedUpstream]) -> None:
        """Show circuits and places as they are whenever somebody looks."""
        in_flight = self._gauge("in_flight", "Requests that an upstream has.", "upstream")
        waiting = self._gauge("waiting", "Requests that wait for an upstream.", "upstream")
        circuit = self._gauge("circuit", "1 for the state of the upstream's circuit.", "upstream", "state")
        for name, one in upstreams.items():
            in_flight.labels(name).set_function(partial(_in_use, one))
            waiting.labels(name).set_function(partial(_waiting, one))
            for state in _STATES:
                circuit.labels(name, state).set_function(partial(_is_in, one, state))

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def request_ended(self, operation: str, who: Who, status: int, seconds: float) -> None:
        self._requests.labels(operation, str(status), *self._labels(who)).inc()
        self._seconds.labels(operation).observe(seconds)

    def tokens_used(self, who: Who, kinds: Mapping[str, int], cost: float) -> None:
        labels = self._labels(who)
        for kind, tokens in kinds.items():
            self._tokens.labels(kind, *labels).inc(tokens)
        self._cost.labels(*labels).inc(cost)

    def answer_not_counted(self, who: Who) -> None:
        self._uncounted.labels(*self._labels(who)).inc()

    def upstream_failed(self, upstream: str, error: ProxyError) -> None:
        self._failures.labels(upstream, reason(error)).inc()

    def first_event(self, seconds: float) -> None:
        self._first.observe(seconds)

    def batch_sent(self, requests: int) -> None:
        self._merged.observe(requests)

    def inputs_looked_up(self, hits: int, misses: int) -> None:
        self._inputs.labels("yes").inc(hits)
        self._inputs.labels("no").inc(misses)

    def _labels(self, who: Who) -> list[str]:
        given = (who.tenant, who.purpose, who.model)
        return [name(value) for name, value in zip(self._names, given, strict=True)]

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(f"llm_proxy_{name}", says, labels, registry=self._registry)

    def _gauge(self, name: str, says: str, *labels: str) -> Gauge:
        return Gauge(f"llm_proxy_{name}", says, labels, registry=self._registry)

    def _histogram(self, name: str, says: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"llm_proxy_{name}", says, labels, registry=self._registry, buckets=buckets)


def _in_use(upstream: GuardedUpstream) -> float:
    return upstream.slots.in_use


def _waiting(upstream: GuardedUpstream) -> float:
    return upstream.slots.waiting


def _is_in(upstream: GuardedUpstream, state: str) -> float:
    return float(upstream.circuit.state == state)
