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
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("Wed, 99 Oct 2026 07:30:00 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_both_forms_are_read(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds
