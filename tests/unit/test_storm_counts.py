"""A storm that counts nothing proves nothing: what it counts is planted here."""

import random

from tests.support.storm.archived import Stored, doubled, lost, never_said, numbers_missing, out_of_order
from tests.support.storm.plan import TARGETS, Plan, faults
from tests.support.storm.talk import Ledger, Producer

ROOM = "user:u0"


def ledger() -> Ledger:
    """Two turns of one producer, all of them acknowledged."""
    said, producer = Ledger(), Producer("raw0", ROOM, "u0", "raw")
    for _ in range(2):
        for one in said.turn(producer, random.Random(1)):
            one.acknowledged = True
    return said


def archive(*tags: str) -> list[Stored]:
    return [Stored(ROOM, seq, tag) for seq, tag in enumerate(tags, start=1)]


def test_nothing_is_wrong_with_what_was_said() -> None:
    said = archive("m000001", "m000002", "m000003", "m000004")
    assert lost(ledger(), said) == doubled(said) == never_said(ledger(), said) == []
    assert out_of_order(ledger(), said) == numbers_missing(said) == []


def test_what_is_not_there_is_lost_if_it_was_acknowledged() -> None:
    said = ledger()
    said.said[2].acknowledged = False
    assert lost(said, archive("m000001", "m000004")) == ["m000002"]


def test_a_message_of_another_room_is_lost_in_its_own() -> None:
    elsewhere = [Stored("user:u1", 1, "m000001")]
    assert "m000001" in lost(ledger(), elsewhere)
    assert never_said(ledger(), elsewhere) == ["m000001"]


def test_what_is_there_twice_is_doubled_whether_it_was_acknowledged_or_not() -> None:
    assert doubled(archive("m000001", "m000002", "m000001")) == ["m000001"]


def test_what_was_said_later_must_not_stand_before() -> None:
    assert out_of_order(ledger(), archive("m000002", "m000001", "m000003", "m000004")) == ["m000002"]


def test_a_number_that_nobody_has_is_missing() -> None:
    assert numbers_missing([Stored(ROOM, 1, "m000001"), Stored(ROOM, 3, "m000002")]) == [ROOM]


def test_a_seed_gives_the_same_faults_and_every_process_is_killed() -> None:
    plan = Plan(seed=3, seconds=60, rooms=2, messages=10, kills=20)
    assert faults(plan) == faults(plan) != faults(Plan(seed=4, seconds=60, rooms=2, messages=10, kills=20))
    killed = [fault.target for fault in faults(plan) if fault.kind.startswith("kill")]
    assert (len(killed), set(killed)) == (20, set(TARGETS))
