"""`resource.Quantity` as the API server writes it again (apimachinery/pkg/api/resource).

A client may write `1024Mi`, `1Gi` or `1073741824`: the server parses it (`ParseQuantity`) and shows its own form
(`CanonicalizeBytes`). A rule that compares text must see that form.
"""

import re
from decimal import ROUND_UP, Context, Decimal

_FORM = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?", re.ASCII)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_NAMES = {power: name for name, power in _DECIMAL.items()}
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_EXACT = Context(prec=400)
_NANO = Decimal("1e-9")
_CAP = Decimal(2**63 - 1)
_MAX_CHARACTERS = 128
_MAX_EXPONENT = 100
"""More than any quantity has, and few enough digits to work with."""


def canonical(text: str) -> str:
    """Return the form that the API server shows. Raises ValueError for what is no quantity."""
    found = _FORM.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
    if found is None or not (found[2] or found[3]):
        raise ValueError("not a quantity")
    sign, whole, fraction, suffix = found[1], found[2], found[3] or "", found[4] or ""
    number = Decimal(f"{whole or '0'}.{fraction or '0'}")
    binary = suffix.endswith("i")
    exponential = suffix[:1] in ("e", "E") and len(suffix) > 1 and not binary
    power = 0
    if binary:
        number = _EXACT.multiply(number, Decimal(1024 ** _BINARY.index(suffix)))
    else:
        power = int(suffix[1:]) if exponential else _DECIMAL[suffix]
        if abs(power) > _MAX_EXPONENT:
            raise ValueError("a quantity with an exponent out of range")
        number = _EXACT.scaleb(number, power)
    digits = (whole.lstrip("0") or "0") + fraction
    if _keeps_binary(digits, fraction, suffix) if binary else _keeps_decimal(digits, power - len(fraction)):
        return text
    number = number.quantize(_NANO, rounding=ROUND_UP, context=_EXACT)
    if binary:
        number = min(number, _CAP)
    if not number:
        return "0"
    minus = "-" if sign == "-" else ""
    # What would lose its fraction, or say less than one of its own units, is shown in the decimal form.
    if binary and number >= 1024 and number == number.to_integral_value():  # noqa: PLR2004  # one Ki
        return minus + _in_binary(int(number))
    return minus + _in_decimal(number, exponential=exponential)


def _keeps_binary(digits: str, fraction: str, suffix: str) -> bool:
    """Tell whether the server takes a text of this form as it stands, `ParseQuantity`'s fast path."""
    power = 10 * _BINARY.index(suffix)
    short = len(digits) <= 14 - power * 3 // 10
    return not fraction and short and int(digits) << power < 1 << 63 and int(digits) & 7 != 0


def _keeps_decimal(digits: str, scale: int) -> bool:
    short = len(digits) <= 18 and scale >= -9  # noqa: PLR2004  # digits of an int64, and nano
    return short and scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0"


def _in_binary(number: int) -> str:
    step = 0
    while number % 1024 == 0 and step < len(_BINARY) - 1:
        number //= 1024
        step += 1
    return f"{number}{_BINARY[step]}"


def _in_decimal(number: Decimal, *, exponential: bool) -> str:
    """Take thousands out until a digit would be lost: the largest suffix that leaves a whole number."""
    units = int(_EXACT.scaleb(number, 9))
    power = -9
    while units % 1000 == 0:
        units //= 1000
        power += 3
    if power > max(_DECIMAL_NAMES) and not exponential:
        raise ValueError("a quantity larger than any suffix says")
    if exponential:
        return f"{units}e{power}" if power else str(units)
    return f"{units}{_DECIMAL_NAMES[power]}"
