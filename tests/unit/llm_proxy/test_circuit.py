import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.llm_proxy.circuit import Circuit
from services.llm_proxy.errors import ProxyError, late, unreachable


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> Circuit:
    return Circuit("gpu", failures=3, seconds=5, clock=clock)


@contextmanager
def refused() -> Iterator[pytest.ExceptionInfo[ProxyError]]:
    with pytest.raises(ProxyError) as raised:
        yield raised
    assert (raised.value.status, raised.value.code) == (503, "circuit_open")


def fail(circuit: Circuit, error: BaseException | None = None) -> None:
    failure = error or unreachable("gpu")
    with pytest.raises(type(failure)), circuit.attempt():
        raise failure


def state(circuit: Circuit) -> str:
    return circuit.state


def break_off(circuit: Circuit) -> None:
    with circuit.attempt() as attempt:
        attempt.has_begun()
        raise unreachable("gpu")


def succeed(circuit: Circuit) -> None:
    with circuit.attempt():
        pass


def test_it_opens_after_outages_in_a_row_and_says_for_how_long(circuit: Circuit, clock: Clock) -> None:
    fail(circuit)
    fail(circuit)
    succeed(circuit)
    fail(circuit)
    fail(circuit, late("gpu", 1))
    assert state(circuit) == "closed"
    fail(circuit)
    assert state(circuit) == "open"
    clock.now += 2
    with refused() as raised:
        circuit.check()
    assert raised.value.headers() == {"Retry-After": "3"}
    with refused():
        succeed(circuit)


def test_one_request_closes_it(circuit: Circuit, clock: Clock) -> None:
    for _ in range(3):
        fail(circuit)
    clock.now += 5
    assert state(circuit) == "half_open"
    with circuit.attempt():
        # Only one finds out for all.
        with refused():
            circuit.check()
        with refused():
            succeed(circuit)
    assert state(circuit) == "closed"
    fail(circuit)
    assert state(circuit) == "closed", "it counts from the start again"


def test_a_failed_probe_doubles_the_time_up_to_a_minute(circuit: Circuit, clock: Clock) -> None:
    for _ in range(3):
        fail(circuit)
    for seconds in (5, 10, 20, 40, 60, 60):
        clock.now += seconds - 0.5
        assert state(circuit) == "open"
        clock.now += 0.5
        fail(circuit)
    clock.now += 60
    succeed(circuit)
    for _ in range(3):
        fail(circuit)
    clock.now += 5
    assert state(circuit) == "half_open"


def test_a_stream_closes_it_with_its_first_event(circuit: Circuit, clock: Clock) -> None:
    for _ in range(3):
        fail(circuit)
    clock.now += 5
    with circuit.attempt() as attempt:
        attempt.has_begun()
        assert state(circuit) == "closed"
        succeed(circuit)


def test_a_stream_that_goes_on_does_not_hide_an_outage(circuit: Circuit) -> None:
    with circuit.attempt() as attempt:
        for _ in range(3):
            attempt.has_begun()
            fail(circuit)
        attempt.has_begun()
        assert state(circuit) == "open"
    assert state(circuit) == "closed", "a whole answer says that it is back"


def test_streams_that_all_break_open_it(circuit: Circuit) -> None:
    for _ in range(3):
        with pytest.raises(ProxyError):
            break_off(circuit)
    assert state(circuit) == "open"


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 429, 500])
def test_what_a_request_may_be_to_blame_for_opens_nothing(circuit: Circuit, status: int) -> None:
    for _ in range(20):
        fail(circuit, ProxyError(status, "refused"))
    assert state(circuit) == "closed"


def test_a_probe_that_is_cancelled_leaves_it_to_the_next(circuit: Circuit, clock: Clock) -> None:
    for _ in range(3):
        fail(circuit)
    clock.now += 5
    fail(circuit, asyncio.CancelledError())
    assert state(circuit) == "half_open"
    succeed(circuit)
    assert state(circuit) == "closed"


def test_requests_that_were_on_their_way_do_not_prolong_it(circuit: Circuit, clock: Clock) -> None:
    on_its_way = circuit.attempt()
    on_its_way.__enter__()
    for _ in range(3):
        fail(circuit)
    clock.now += 4
    assert not on_its_way.__exit__(ProxyError, unreachable("gpu"), None)
    clock.now += 1
    assert state(circuit) == "half_open"
