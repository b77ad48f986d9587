"""Throws generated requests, right and wrong ones, at every route, and holds each answer to the OpenAPI document."""

import math
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.memory_api import Place

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
# What the API lets pass, as servers do: it reads no parameter that it does not know.
PASSES = "query: violates `additionalProperties`"
OWNERS = ("/v1/users/", "/v1/companies/")
NAMED_BY_QUERY = ("/v1/sessions/", "/v1/temporary/")
# Only a load of all owners takes to be paused.
OF_ALL = "load-all-companies-memories"
_LIMIT_SECONDS = 60
_LONGEST = 2_000


@dataclass
class Thrown:
    """How many requests got which status, and what was wrong with an answer."""

    cases: int = 0
    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def never_answered(self) -> list[str]:
        """Give the routes where no request succeeded: nothing is known of what they answer then."""
        succeeded = {name for name, _, status in map(_parted, self.statuses) if status.startswith("2")}
        return sorted({name for name, _, _ in map(_parted, self.statuses)} - succeeded)


def _ends(operation: Any) -> bool:
    return bool(operation.method.upper() == "DELETE")


def _parted(counted: str) -> tuple[str, str, str]:
    return counted.rpartition(" ")


@dataclass
class Thrower:
    """`places` are where something is: every other right request is for one of them."""

    url: str
    key: str
    number: int
    places: Sequence[Place]
    thrown: Thrown = field(default_factory=Thrown)

    def throw(self, cases: int) -> Thrown:
        """Send about `cases` requests, the same ones for the same `number`."""
        schema = schemathesis.openapi.from_url(f"{self.url}/openapi.json")
        found: Any = schema.get_all_operations()
        # What is deleted or forgotten is asked for before.
        operations = sorted((one.ok() for one in found), key=lambda one: (one.path.endswith("/forget"), _ends(one)))
        began = time.monotonic()
        with requests.Session() as session:
            session.trust_env = False
            for operation in operations:
                for mode in MODES:
                    self._throw_at(operation, mode, session, math.ceil(cases / len(operations) / len(MODES)))
        self.thrown.seconds = time.monotonic() - began
        return self.thrown

    def _throw_at(self, operation: Any, mode: GenerationMode, session: requests.Session, cases: int) -> None:
        chance = random.Random(self.number)

        @seed(self.number)
        @settings(
            max_examples=cases,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def one(case: Any) -> None:
            if mode is GenerationMode.POSITIVE:
                self._make_likely(case, chance)
            self._check(case, session)

        try:
            one()
        except Unsatisfiable:
            # A route without parameters has no wrong request.
            return

    def _make_likely(self, case: Any, chance: random.Random) -> None:
        if chance.random() < 0.5:
            path = case.operation.path
            fitting = [place for place in self.places if not path.startswith(OWNERS) or path.startswith(place.prefix)]
            place = chance.choice(fitting)
            case.path_parameters.update({name: place.ids[name] for name in case.path_parameters if name in place.ids})
            if path.startswith(NAMED_BY_QUERY):
                case.query.update(place.owner)
            if path.endswith(("/pause", "/resume")):
                case.path_parameters["backfill_id"] = OF_ALL
            if path == "/v1/webhooks" and isinstance(case.body, dict) and len(case.body) > 1:
                case.body["url"] = "https://example.org/"
        if case.method.upper() in ("PUT", "DELETE") and chance.random() < 0.5:
            case.headers.update({chance.choice(("If-Match", "If-None-Match")): "*"})

    def _check(self, case: Any, session: requests.Session) -> None:
        # Some of the wrong ones lack the credential, or have a wrong one.
        headers = {"Authorization": f"Bearer {self.key}"}
        response = case.call(session=session, headers=headers, timeout=_LIMIT_SECONDS)
        name = f"{case.method.upper()} {case.operation.path}"
        self.thrown.cases += 1
        self.thrown.statuses[f"{name} {response.status_code}"] += 1
        try:
            # A body that is too large is refused as such: Schemathesis does not count that as a refusal.
            refused = response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            case.validate_response(response, checks=CHECKS[:-1] if refused else CHECKS)
        except FailureGroup as group:
            found = [str(failure) for failure in group.exceptions if PASSES not in str(failure)]
            self.thrown.failures += [
                f"{name} {failure}\n{case.as_curl_command()}\n{response.text}"[:_LONGEST] for failure in found
            ]
