"""The few rules of protobuf's wire format, read in one way only (https://protobuf.dev/programming-guides/encoding/).

Kubernetes' own reader cuts numbers to the type of their field and takes any padding. What would read otherwise
elsewhere is refused here.
"""

from holdpoint.protocols.call import Undecodable

_MAX_VARINT_BYTES = 10
_MAX_NUMBER = (1 << 29) - 1
_MORE = 0x80


def broken(message: str) -> Undecodable:
    """Return the error for a body that is not clear protobuf."""
    return Undecodable(f"invalid protobuf: {message}")


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return an unsigned number of at most 64 bits and the place after it. Raises Undecodable."""
    if at < end and data[at] < _MORE:
        return data[at], at + 1
    value = shift = 0
    start = at
    while True:
        if at >= end:
            raise broken("a number is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            break
        shift += 7
        if at - start >= _MAX_VARINT_BYTES:
            raise broken("a number has more than 64 bits")
    if value >> 64:
        raise broken("a number has more than 64 bits")
    if byte == 0 and at - start > 1:
        raise broken("a number has more bytes than it needs")
    return value, at


def scalar(kind: str, value: int) -> bool | int:
    """Return a number from the wire as a field of this type has it. Raises Undecodable where the type would cut it."""
    if kind == "bool":
        if value > 1:
            raise broken("a boolean is neither 0 nor 1")
        return value == 1
    signed = value - (1 << 64) if value >> 63 else value
    if kind == "int32" and not -(1 << 31) <= signed < 1 << 31:
        raise broken("a number is out of the range of its field")
    return signed


def length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return where a field with a length begins and ends. Raises Undecodable where that is not inside its message."""
    if at < end and data[at] < _MORE:  # as most are
        size, at = data[at], at + 1
    else:
        size, at = varint(data, at, end)
    if size > end - at:
        raise broken("a field is cut off")
    return at, at + size


def number_of(tag: int) -> int:
    """Return the number of the field that a tag begins. Raises Undecodable for what is no tag."""
    number = tag >> 3
    if not 0 < number <= _MAX_NUMBER:
        raise broken("a field number is out of range")
    return number


def skip(data: bytes, tag: int, at: int, end: int) -> int:
    """Return the place after a field that nobody knows. Raises Undecodable where there is none, and for groups."""
    match tag & 7:
        case 0:
            _, at = varint(data, at, end)
        case 1:
            at += 8
        case 2:
            _, at = length(data, at, end)
        case 5:
            at += 4
        case _:
            raise broken("a group, or a wire type that does not exist")
    if at > end:
        raise broken("a field is cut off")
    return at
