"""Plain scalars mean what Kubernetes' own reader says they mean."""

import pytest

from pilotpy.schema import scalars

READ = [
    ("an empty scalar is null", "", None),
    ("a tilde is null", "~", None),
    ("yes is true", "yes", True),
    ("on is true", "On", True),
    ("a lone n is false", "n", False),
    ("a word of mixed case is text", "yEs", "yEs"),
    ("digits are an integer", "80", 80),
    ("a sign belongs to the number", "-7", -7),
    ("a leading zero means octal", "0755", 493),
    ("0o means octal", "0o17", 15),
    ("0x means hexadecimal", "0x1F", 31),
    ("0b means binary", "0b101", 5),
    ("underscores part digits", "1_000", 1000),
    ("09 is no octal number, so it is a decimal one", "09", 9),
    ("a float without a fraction is an integer", "1.0", 1),
    ("an exponent makes a float", "1.5e-1", 0.15),
    ("a version of two parts is a number", "1.10", 1.1),
    ("a version of three parts is text", "1.10.2", "1.10.2"),
    ("clock times are text, not sexagesimal", "12:30", "12:30"),
    ("a date is text", "2030-01-31", "2030-01-31"),
    ("a lone dash is text", "-", "-"),
    ("a lone dot is text", ".", "."),
    ("an address is text", "10.0.0.1", "10.0.0.1"),
    ("the largest integer JSON readers take", "18446744073709551615", 18446744073709551615),
    ("beyond that, a float", "18446744073709551616", 18446744073709551616.0),
    ("digits of other scripts are text", "١٢", "١٢"),
]


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in READ], ids=[case[0] for case in READ])
def test_a_plain_scalar(text, expected):
    read = scalars.plain(text)
    assert read == expected
    assert type(read) is type(expected) or isinstance(expected, float)


@pytest.mark.parametrize("text", [".inf", "-.Inf", ".NaN", "1e999"])
def test_a_number_that_json_does_not_have_is_refused(text):
    with pytest.raises(ValueError, match="number"):
        scalars.plain(text)


@pytest.mark.parametrize(("text", "expected"), [("80", "80"), ("on", "true"), ("1.0", "1"), ("a.b/c", "a.b/c")])
def test_keys_are_text(text, expected):
    assert scalars.key(text) == expected


def test_null_is_no_key():
    with pytest.raises(ValueError, match="null"):
        scalars.key("~")
