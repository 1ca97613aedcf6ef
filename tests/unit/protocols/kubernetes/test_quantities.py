"""Quantities as apimachinery's own `ParseQuantity` and `MarshalJSON` make them of each text."""

import pytest

from holdpoint.protocols.kubernetes.quantities import canonical

SHOWN = [
    ("0", "0"),
    ("-0", "0"),
    ("0Gi", "0"),
    ("1", "1"),
    ("10", "10"),
    ("1000", "1k"),
    ("1000m", "1"),
    ("0.5", "500m"),
    ("0.5Gi", "512Mi"),
    ("1.5", "1500m"),
    ("1.500", "1.500"),
    ("05", "05"),
    ("+5", "+5"),
    ("-500m", "-500m"),
    ("100m", "100m"),
    ("1Gi", "1Gi"),
    ("4Gi", "4Gi"),
    ("1024Mi", "1Gi"),
    ("1024Ki", "1Mi"),
    ("8Ki", "8Ki"),
    ("1.1Ki", "1126400m"),
    ("512Ki", "512Ki"),
    ("0.1Ki", "102400m"),
    ("1e3", "1e3"),
    ("1E3", "1E3"),
    ("1000e3", "1e6"),
    ("5e2", "500"),
    ("1E", "1E"),
    ("0.1n", "1n"),
    ("1.0000000001", "1000000001n"),
    ("9999999999999999999Ki", "9223372036854775807"),
]


@pytest.mark.parametrize(("text", "shown"), SHOWN)
def test_a_quantity_is_shown_as_the_api_server_shows_it(text: str, shown: str) -> None:
    assert canonical(text) == shown


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "1i", "1K", "1KI", "m", ".", "-", "1e", "1e3Ki", "1_0", "\u0661", "0x1", "1e999999999", "1" * 200],
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        canonical(text)


def test_a_number_that_no_suffix_says_is_refused() -> None:
    with pytest.raises(ValueError, match="larger than any suffix"):
        canonical("1000E")
