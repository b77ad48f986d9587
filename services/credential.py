"""Who asks, and what they may do."""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

from services.domain.credentials import SCOPES, Scope, hash_key
from services.domain.memories import Owner, owner_of
from services.postgres.api.keys import ApiKey, Binding
from services.postgres.database import Tenant


@dataclass(frozen=True, slots=True)
class Credential:
    """`name` says which one it is, for what is kept by credential; it is no secret. Without a tenant it sees all."""

    name: str
    scopes: frozenset[Scope]
    binding: Binding

    @property
    def person(self) -> Owner | None:
        return owner_of("user", self.binding.user_id) if self.binding.user_id is not None else None

    @property
    def company(self) -> Owner | None:
        return owner_of("company", self.binding.company_id) if self.binding.company_id is not None else None

    @property
    def tenant(self) -> Tenant | None:
        if self.binding.is_nobody:
            return None
        person, company = self.person, self.company
        return Tenant(person.id if person else None, company.id if company else None)

    def may(self, scope: Scope) -> bool:
        """`admin` may do everything."""
        return scope in self.scopes or "admin" in self.scopes


# Where nobody made a key or named who signs tokens, whoever is on this machine may do all.
ANYBODY = Credential("anybody", frozenset(SCOPES), Binding())


def credential_of(key: ApiKey, given: str) -> Credential | None:
    """Give what a key allows; None unless `given` is that key, and counts today."""
    # Compared in constant time: how long it takes must not tell how much of a guess was right.
    if not hmac.compare_digest(key.hash, hash_key(given)):
        return None
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= datetime.now(UTC)):
        return None
    return Credential(f"key:{key.id}", frozenset(key.scopes), key.binding)
