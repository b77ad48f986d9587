"""Leaves an upstream alone that keeps failing, and finds out with one request when it is back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from services.llm_proxy.errors import ProxyError, circuit_open
from services.llm_proxy.verdicts import is_outage

_LONGEST_SECONDS = 60.0
State = Literal["closed", "open", "half_open"]


class Attempt:
    """One call to the upstream. A stream says when it has begun: a probe's end may be minutes away."""

    def __init__(self, circuit: "Circuit") -> None:
        self._circuit = circuit

    def has_begun(self) -> None:
        self._circuit.probe_has_begun(self)


class Circuit:
    """Opens after `failures` outages in a row, for `seconds`, then twice as long each time, a minute at most.

    While it is open nothing is sent; then one request is, and its outcome decides. A whole answer closes it, and so
    does the first event of a stream that was sent to find out: other events say only that their own stream goes on.
    """

    def __init__(self, upstream: str, *, failures: int, seconds: float, clock: Callable[[], float]) -> None:
        self._upstream = upstream
        self._failures = failures
        self._first_seconds = seconds
        self._clock = clock
        self._in_a_row = 0
        self._seconds = seconds
        self._opened_at: float | None = None
        self._probe: Attempt | None = None

    @property
    def state(self) -> State:
        if self._opened_at is None:
            return "closed"
        return "open" if self._left() > 0 else "half_open"

    def check(self) -> None:
        """Raise where a call would be refused, so that nobody waits in a queue for that."""
        if self._opened_at is not None and (self._left() > 0 or self._probe is not None):
            raise circuit_open(self._upstream, self._left() or self._first_seconds)

    @contextmanager
    def attempt(self) -> Iterator[Attempt]:
        """Guard one call; a call that is cancelled says nothing about the upstream."""
        self.check()
        attempt = Attempt(self)
        if self._opened_at is not None:
            self._probe = attempt
        try:
            yield attempt
        except ProxyError as error:
            if is_outage(error):
                self._failed(attempt)
            else:
                self._close()
            raise
        else:
            self._close()
        finally:
            if self._probe is attempt:
                self._probe = None

    def probe_has_begun(self, attempt: Attempt) -> None:
        if self._probe is attempt:
            self._close()

    def _close(self) -> None:
        self._in_a_row = 0
        self._opened_at = None
        self._probe = None
        self._seconds = self._first_seconds

    def _failed(self, attempt: Attempt) -> None:
        self._in_a_row += 1
        if self._probe is attempt:
            self._seconds = min(2 * self._seconds, max(_LONGEST_SECONDS, self._first_seconds))
            self._opened_at = self._clock()
        elif self._opened_at is None and self._in_a_row >= self._failures:
            self._opened_at = self._clock()

    def _left(self) -> float:
        opened_at = self._opened_at
        return 0.0 if opened_at is None else max(0.0, opened_at + self._seconds - self._clock())
