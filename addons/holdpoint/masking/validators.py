"""Checks that tell a secret from a lookalike."""

import binascii
import re
from collections.abc import Callable

import msgspec

type Check = Callable[[bytes, int, int], int]
"""Takes a text and the part that matched; returns where the real one ends, 0 if there is none. Never raises."""

_CARD_LENGTHS = range(13, 20)
_IBAN_LENGTHS = {
    code.encode(): length
    for length, codes in (
        (15, "NO"),
        (16, "BE"),
        (18, "DK FI FO GL NL SD FK"),
        (19, "MK SI"),
        (20, "AT BA EE KZ LT LU MN XK"),
        (21, "CH HR LI LV"),
        (22, "BG BH CR DE GB GE IE ME RS VA"),
        (23, "AE GI IL IQ OM SO TL"),
        (24, "AD CZ ES MD PK RO SA SE SK TN VG"),
        (25, "LY PT ST"),
        (26, "IS TR"),
        (27, "BI DJ FR GR IT MC MR SM"),
        (28, "AL AZ BY CY DO GT HU LB NI PL SV"),
        (29, "BR EG PS QA UA"),
        (30, "JO KW MU YE"),
        (31, "MT SC"),
        (32, "LC"),
        (33, "RU"),
    )
    for code in codes.split()
}
_SPACE = 0x20
_MIXED = (re.compile(rb"[A-Z]"), re.compile(rb"[a-z]"), re.compile(rb"[0-9]"))
_HEADER_START = re.compile(rb"e[wy]")
_MAX_STARTS = 16
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


def decode_base64(token: bytes) -> bytes | None:
    """Decode either alphabet, with or without padding and line ends; None if it is not base64."""
    raw = token.translate(_TO_STANDARD, b"\r\n\t =")
    if len(raw) % 4 == 1:
        return None
    try:
        return binascii.a2b_base64(raw + b"=" * (-len(raw) % 4))
    except binascii.Error:
        return None


def jwt(text: bytes, start: int, end: int) -> int:
    """Accept where the header decodes to a JSON object with an `alg` (RFC 7515 section 4.1.1)."""
    header = text[start : text.index(b".", start)]
    starts = [m.start() for m in _HEADER_START.finditer(header)]
    # The first start is not always the right one (`whey-eyJ…`). Beyond a few, doubt masks.
    if len(starts) > _MAX_STARTS or any(_is_header(header[s:]) for s in starts):
        return end
    return 0


def _is_header(part: bytes) -> bool:
    decoded = decode_base64(part)
    if decoded is None:
        return False
    try:
        value: object = msgspec.json.decode(decoded)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return isinstance(value, dict) and "alg" in value


def aws_secret(text: bytes, start: int, end: int) -> int:
    """Accept 40 characters with upper case, lower case and a digit: no SHA-1, no word."""
    token = text[start:end]
    return end if len(token) == 40 and all(p.search(token) for p in _MIXED) else 0  # noqa: PLR2004  # AWS's length


def bearer(text: bytes, start: int, end: int) -> int:
    """Accept what is no word: a digit, or both cases after the first letter."""
    token = text[start:end]
    upper, lower, digit = (p.search(token, 1) for p in _MIXED)
    return end if digit or (upper and lower) else 0


def basic(text: bytes, start: int, end: int) -> int:
    """Accept what decodes to `user:password` (RFC 7617 section 2)."""
    decoded = decode_base64(text[start:end])
    if decoded is None or b":" not in decoded:
        return 0
    try:
        return end if decoded.decode("utf-8", "strict").isprintable() else 0
    except UnicodeDecodeError:
        return 0


def card(text: bytes, start: int, end: int) -> int:
    """Accept the length of a card number and the check digit of ISO/IEC 7812-1 (Luhn), the longest that fits."""
    while end > start:
        digits = text[start:end].translate(None, b" -")
        if len(digits) < _CARD_LENGTHS.start:
            return 0
        if not text[end : end + 1].isdigit() and len(set(digits)) > 1 and _luhn(digits):
            return end
        end -= 1
        while text[end - 1 : end] in {b" ", b"-"}:
            end -= 1
    return 0


def _luhn(digits: bytes) -> bool:
    total = 0
    for place, c in enumerate(reversed(digits)):
        n = c - 48
        if place % 2:
            n = n * 2 - 9 if n > 4 else n * 2  # noqa: PLR2004  # 5 doubled has two digits
        total += n
    return total % 10 == 0


def iban(text: bytes, start: int, end: int) -> int:
    """Accept the length that the country has and check digits that hold modulo 97 (ISO 13616)."""
    length = _IBAN_LENGTHS.get(text[start : start + 2], 0)
    taken = 0
    for at in range(start, end):
        taken += text[at] != _SPACE
        if length and taken == length:
            token = text[start : at + 1].replace(b" ", b"").decode("ascii")
            number = int("".join(str(int(c, 36)) for c in token[4:] + token[:4]))
            return at + 1 if number % 97 == 1 and not text[at + 1 : at + 2].isalnum() else 0
    return 0


def ssn(text: bytes, start: int, end: int) -> int:
    """Accept numbers that the Social Security Administration may issue, standing by themselves."""
    if text[end : end + 1].isdigit():
        return 0
    area, group, serial = text[start:end].split(b"-")
    return end if area not in {b"000", b"666"} and area < b"900" and group != b"00" and serial != b"0000" else 0
