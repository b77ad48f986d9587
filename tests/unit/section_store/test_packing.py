import random
import string
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from services.domain.errors import InvalidInputError
from services.domain.memories import owner_of
from services.domain.sections import Name, bucket_of, check_name, history_id, value_id
from services.postgres.sections.values import Packed, Record
from services.section_store.keys import bucket_of_key, marker_key, read_marker_key, read_slot_key, slot_key
from services.section_store.packing import Packing, entry_of, read_entry, unpack

PACKING = Packing(most_bytes=10_000, compress_above=100)
NOON = datetime(2026, 3, 2, 12, 0, 0, 123_456, tzinfo=UTC)


def anything(chance: random.Random, depth: int = 3) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: chance.random() < 0.5,
        lambda: chance.randrange(-(2**60), 2**60),
        lambda: chance.gauss(0, 1e9),
        lambda: "".join(chance.choices(string.printable + "ñé€😀\0", k=chance.randrange(60))),
    ]
    nested: list[Callable[[], Any]] = [
        lambda: [anything(chance, depth - 1) for _ in range(chance.randrange(4))],
        lambda: {str(chance.random()): anything(chance, depth - 1) for _ in range(chance.randrange(4))},
    ]
    return chance.choice(kinds + nested if depth else kinds)()


def test_whatever_json_can_say_comes_back() -> None:
    chance = random.Random(7)
    for _ in range(500):
        value = anything(chance)
        packed = PACKING.pack(value)
        assert unpack(packed) == value
        assert len(packed.data) <= packed.raw_size
        for is_prefetched in (False, True):
            entry = read_entry(entry_of(Record(packed, 7, NOON), is_prefetched=is_prefetched))
            assert (entry.record, entry.is_prefetched, entry.version) == (Record(packed, 7, NOON), is_prefetched, 7)


def test_that_there_is_no_value_is_an_entry_too() -> None:
    entry = read_entry(entry_of(None))
    assert (entry.record, entry.version) == (None, 0)


def test_only_what_gets_smaller_is_compressed() -> None:
    noise = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=99))
    assert not PACKING.pack("x" * 90).is_compressed
    assert PACKING.pack("x" * 200).is_compressed
    assert not Packing(10_000, 10).pack(noise[:12]).is_compressed


@pytest.mark.parametrize("value", [object(), float("inf"), "x" * 10_000, "\udfff", {1, 2}], ids=range(5))
def test_what_is_no_json_or_too_much_is_refused_without_being_quoted(value: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        PACKING.pack(value)
    assert caught.value.field == "value"
    assert "xxx" not in str(caught.value)


def test_a_nest_without_end_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidInputError):
        PACKING.pack(deep)


def test_names_have_ids_of_their_own() -> None:
    owners = (owner_of("user", "a"), owner_of("company", "a"))
    names = [Name("facts", "k"), Name("facts", "k", "n"), Name("user_preferences", "k"), Name("facts", "n\nk")]
    ids = {value_id(owner, name) for owner in owners for name in names}
    ids |= {history_id(owner, "default", session) for owner in owners for session in (None, "s")}
    assert len(ids) == len(owners) * (len(names) + 2)
    with pytest.raises(InvalidInputError):
        check_name("facts", "a\nb")


def test_keys_are_read_as_they_are_written() -> None:
    owner, epoch, value = owner_of("user", "ana"), uuid4(), uuid4()
    slot, marker = slot_key(owner, epoch, value), marker_key(7, epoch)
    assert read_slot_key(slot) == (epoch, value)
    assert read_slot_key(marker) is None
    assert read_marker_key(marker) == epoch
    assert read_marker_key(slot) is None
    assert (bucket_of_key(slot), bucket_of_key(marker)) == (bucket_of(owner), 7)
    assert bucket_of_key("section:{section64}:x") is None


def test_a_packed_value_knows_its_size() -> None:
    assert PACKING.pack("abc") == Packed(b'"abc"', is_compressed=False, raw_size=5)
