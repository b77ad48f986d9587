"""Decides whose a room is."""

from services.domain.memories import Owner, owner_of

_OWN_ROOM = "user:"


def room_owner(room_id: str, user_id: str | None, company_id: str | None) -> Owner | None:
    """Give a person's own room to that person, another one to the company, else the person, that spoke first in it.

    None until somebody has spoken by name.
    """
    if room_id.startswith(_OWN_ROOM) and room_id != _OWN_ROOM:
        return owner_of("user", room_id.removeprefix(_OWN_ROOM))
    if company_id is not None:
        return owner_of("company", company_id)
    return owner_of("user", user_id) if user_id is not None else None
