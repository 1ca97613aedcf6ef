"""Messages that JSON shows as one value, as apimachinery's own `MarshalJSON` writes them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols.kubernetes.field_tables import Shape, own
from holdpoint.protocols.kubernetes.protobuf_wire import broken
from holdpoint.protocols.kubernetes.quantities import canonical

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)
_NANOS = 1_000_000_000
_TEXT = 1
_UNITS = (("ms", 1_000_000), ("µs", 1_000), ("ns", 1))

_TIMESTAMP = own("meta.v1/Timestamp", "1 seconds int64", "2 nanos int32")

SHAPES: Mapping[str, Shape] = {
    "time": _TIMESTAMP,
    "microtime": _TIMESTAMP,
    "duration": own("meta.v1/Duration", "1 duration int64"),
    "quantity": own("resource/Quantity", "1 string *string"),
    "intorstring": own("intstr/IntOrString", "1 type int64", "2 intVal int32", "3 strVal string"),
}
"""Fields of each of them."""

RAW = own("runtime/RawExtension", "1 raw *bytes")
"""Of `raw`: `FieldsV1` and `RawExtension`, which hold JSON as bytes."""

BLANK: Mapping[str, JsonValue] = {
    "string": "",
    "bool": False,
    "int32": 0,
    "int64": 0,
    "bytes": None,
    "time": None,
    "microtime": None,
    "duration": "0s",
    "quantity": "0",
    "intorstring": 0,
    "raw": None,
}
"""What JSON shows of a field that has no value and is not left out."""


def _moment(values: JsonObject) -> tuple[datetime, int]:
    seconds, nanos = values["seconds"], values["nanos"]
    if not isinstance(seconds, int) or not isinstance(nanos, int) or not 0 <= nanos < _NANOS:
        raise broken("a fraction of a second is out of range")
    try:
        return _EPOCH + timedelta(seconds=seconds), nanos
    except OverflowError:
        raise broken("a time is out of range") from None


def _time(values: JsonObject) -> JsonValue:
    # The server keeps whole seconds only (apimachinery, `Time.Unmarshal`).
    moment, _ = _moment(values)
    return None if moment == _ZERO_TIME else f"{moment:%Y-%m-%dT%H:%M:%S}Z".rjust(20, "0")


def _micro_time(values: JsonObject) -> JsonValue:
    moment, nanos = _moment(values)
    if moment == _ZERO_TIME and not nanos:
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanos // 1000:06}Z".rjust(27, "0")


def _duration(values: JsonObject) -> JsonValue:
    """Write nanoseconds as Go's `Duration.String` does: `1h0m0s`, `1.5s`, `100ms`."""
    nanos = values["duration"]
    if not isinstance(nanos, int) or not nanos:
        return "0s"
    sign, left = ("-", -nanos) if nanos < 0 else ("", nanos)
    if left < _NANOS:
        unit, size = next((unit, size) for unit, size in _UNITS if left >= size)
        return f"{sign}{_with_fraction(left, size)}{unit}"
    minutes, rest = divmod(left, 60 * _NANOS)
    text = f"{_with_fraction(rest, _NANOS)}s"
    if minutes:
        text = f"{minutes % 60}m{text}"
    if minutes >= 60:  # noqa: PLR2004  # an hour
        text = f"{minutes // 60}h{text}"
    return sign + text


def _with_fraction(amount: int, size: int) -> str:
    whole, rest = divmod(amount, size)
    digits = len(str(size)) - 1
    return f"{whole}.{rest:0{digits}}".rstrip("0") if rest else str(whole)


def _quantity(values: JsonObject) -> JsonValue:
    text = values.get("string")
    if text is None:
        return "0"
    try:
        return canonical(text if isinstance(text, str) else "")
    except ValueError as error:
        raise broken(str(error)) from None


def _int_or_string(values: JsonObject) -> JsonValue:
    match values["type"]:
        case 0:
            return values["intVal"]
        case 1:
            return values["strVal"]
        case _:
            raise broken("a value is neither a number nor text")


SPECIAL: Mapping[str, Callable[[JsonObject], JsonValue]] = {
    "time": _time,
    "microtime": _micro_time,
    "duration": _duration,
    "quantity": _quantity,
    "intorstring": _int_or_string,
}
"""Fields of such a message → what JSON shows."""
