from datetime import UTC, datetime

import pytest

from services.llm_proxy.retry_after import retry_after_seconds

NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("1.5", 1.5),
        ("-3", 0),
        ("Wed, 21 Oct 2026 07:30:00 GMT", 120),
        ("Wed, 21 Oct 2026 07:30:00", 120),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0),
        ("86400", 86_400),
        ("86401", 86_400),
        ("1792567680", 86_400),
        ("1e300", 86_400),
        ("Fri, 23 Oct 2026 07:28:00 GMT", 86_400),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("Wed, 99 Oct 2026 07:30:00 GMT", None),
        ("Wed, 21 Oct 99999999999999999999 07:30:00 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_both_forms_are_read_and_ask_for_a_day_at_most(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds
