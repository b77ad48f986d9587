from services.cli.output import clean, shown


def test_what_would_steer_a_terminal_is_taken_out() -> None:
    assert clean("a\x1b[31mb\x07\x9bc\n\td\r") == "a�[31mb��c\n\td�"


def test_nothing_is_shown_as_nothing() -> None:
    assert shown(None) == ""
