"""Owners, their ids and the names of their memories."""

from uuid import UUID, uuid4

import pytest

from services.domain.errors import InvalidInputError
from services.domain.memories import Owner, OwnerType, brain_id, check_slug, entity_id, owner_of
from services.domain.room_owner import room_owner

SOMEBODY = UUID("4e0d1f3a-5b1c-4c7e-9f27-6a3d2b8c1e55")


def test_a_uuid_is_taken_as_it_is_however_it_is_written() -> None:
    for given in (SOMEBODY, str(SOMEBODY), str(SOMEBODY).upper(), SOMEBODY.hex):
        assert owner_of("user", given) == Owner("user", SOMEBODY)


def test_any_other_id_gets_a_uuid_of_its_own_and_is_kept() -> None:
    person, company = owner_of("user", "42"), owner_of("company", "42")
    assert person.id.version == 5
    assert person.external_id == "42"
    assert person == owner_of("user", "42")
    assert len({person.id, company.id, owner_of("user", "043").id}) == 3


@pytest.mark.parametrize("given", ["", "a b", "me@example.org", "{42}", "x" * 201, "42\n", "é"])
def test_what_is_no_id_is_refused(given: str) -> None:
    with pytest.raises(InvalidInputError, match="user_id"):
        owner_of("user", given)


@pytest.mark.parametrize(
    "rut", ["12.345.678-K", "12345678k", " 12 345 678 - k ", "12.345.678\u2010K", "12.345.678\u2013k"]
)
def test_a_rut_is_one_id_however_it_is_written(rut: str) -> None:
    assert entity_id(Owner("company", SOMEBODY), rut) == "12345678k"


@pytest.mark.parametrize("rut", [None, "", "  "])
def test_an_owner_without_a_rut_has_its_own_id(rut: str | None) -> None:
    assert entity_id(Owner("user", SOMEBODY), rut) == str(SOMEBODY)


@pytest.mark.parametrize("rut", ["K", "12.345.678-X", "1234567890-1", "12k45", "RUT 1-9"])
def test_what_has_not_the_shape_of_a_rut_is_refused(rut: str) -> None:
    with pytest.raises(InvalidInputError, match="rut"):
        entity_id(Owner("user", SOMEBODY), rut)


def test_the_same_slug_is_another_memory_of_another_owner() -> None:
    owners = [Owner(kind, id_) for kind in ("user", "company") for id_ in (SOMEBODY, uuid4())]
    names = {brain_id(owner, slug) for owner in owners for slug in ("city", "name")}
    assert len(names) == 8


@pytest.mark.parametrize("slug", ["", "City", "_x", "a b", "ñ", "x" * 256, "city\n"])
def test_what_is_no_slug_is_refused(slug: str) -> None:
    with pytest.raises(InvalidInputError, match="slug"):
        check_slug(slug)


@pytest.mark.parametrize(
    ("room", "user", "company", "owner"),
    [
        ("user:42", "7", "acme", ("user", "42")),
        ("user:42", None, None, ("user", "42")),
        (f"user:{SOMEBODY}", None, None, ("user", str(SOMEBODY))),
        ("room:support", "7", "acme", ("company", "acme")),
        ("room:support", "7", None, ("user", "7")),
        ("room:support", None, None, None),
        ("user:", "7", None, ("user", "7")),
    ],
)
def test_a_room_is_its_persons_or_its_companys_or_whose_it_was_first(
    room: str, user: str | None, company: str | None, owner: tuple[OwnerType, str] | None
) -> None:
    assert room_owner(room, user, company) == (owner_of(*owner) if owner else None)


def test_an_owner_is_named_as_the_host_names_it() -> None:
    assert str(owner_of("user", "42")) == "user:42"
    assert str(Owner("company", UUID(int=1))) == f"company:{UUID(int=1)}"
