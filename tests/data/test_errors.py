from hypothesis import given
from hypothesis import strategies as st

from data.errors import DataError, nearest, printable, shown


@given(st.text())
def test_printable_is_inert_and_stable(text):
    once = printable(text)
    assert once.isprintable()
    assert printable(once) == once


def test_control_characters_are_escaped():
    assert printable("a\x1b[31m\n\u202eb") == r"a\x1b[31m\n\u202eb"
    assert str(DataError("bad\x1b]0;title\x07.csv")) == r"bad\x1b]0;title\x07.csv"


def test_lone_surrogates_are_escaped():
    assert printable("\udcff") == r"\udcff"


def test_shown_quotes_and_cuts():
    assert shown("abc") == "'abc'"
    assert shown("x" * 100, 10) == "'" + "x" * 9 + "…'"


def test_nearest_name():
    assert nearest("spirall", ["digits", "spiral"]) == "; did you mean 'spiral'?"
    assert nearest("zzz", ["digits", "spiral"]) == ""


def test_long_messages_lose_their_middle():
    message = str(DataError("a" * 3000 + "b" * 3000))
    assert len(message) == 2000
    assert message.startswith("aaa")
    assert message.endswith("bbb")


def test_a_number_of_thousands_of_digits_is_shown():
    assert shown(10**5000) == "'a number of thousands of digits'"
    assert shown(10**100, 10) == "'100000000…'"
