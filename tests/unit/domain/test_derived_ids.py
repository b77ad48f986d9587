from uuid import UUID, uuid5

from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.ids import NAMESPACE, derived_id, message_uid
from services.domain.memories import owner_of


@settings(deadline=None, database=None)
@given(st.text(st.characters(codec="utf-8")))
def test_an_id_is_of_version_5(name: str) -> None:
    assert derived_id(name) == uuid5(NAMESPACE, name)


def test_ids_that_are_written_down_are_found_again() -> None:
    assert message_uid("user:demo", "turn-1:user") == UUID("49faaab7-cb9c-558c-974b-f87b064d3d8f")
    assert owner_of("user", "demo").id == UUID("66f958df-f204-55df-b640-8075adc42f9c")
