from tests.support.configuration_page import PAGE, classes, page


def test_the_page_is_as_new_as_the_settings() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.support.configuration_page`"


def test_the_page_has_every_setting_and_its_limits() -> None:
    written = page()
    for kind in classes():
        for name in kind.model_fields:
            assert f"| `{name.upper()}` |" in written
    assert "| `BATCH_SIZE` | a whole number: 1 and more, 10,000 at most | `50` |" in written
    assert "| `MEM0_API_KEY` | a secret |  |" in written
