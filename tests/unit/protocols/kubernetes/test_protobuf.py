"""Which protobuf bodies are read, and which are refused because another reader may read them differently."""

from base64 import b64encode

import pytest
from tests.fakes.protobuf_bodies import MAGIC, body, encode, held, number, varint

from holdpoint.domain.values import JsonObject, as_object
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes.protobuf import decode

pytestmark = pytest.mark.threat("T59")

NAMED = held(1, held(1, "n"))
"""A message whose metadata says its name."""


def of(message: bytes, kind: str = "Pod", version: str = "v1") -> JsonObject:
    return decode(body(version, kind, message)).object


def spec(message: bytes) -> JsonObject:
    return as_object(of(NAMED + held(2, message))["spec"])


GROUP = varint(9 << 3 | 3) + varint(9 << 3 | 4)
WRONG = [
    pytest.param(b"", "does not begin", id="nothing"),
    pytest.param(b"k8s", "does not begin", id="half the magic"),
    pytest.param(b'{"kind":"Pod"}', "does not begin", id="json"),
    pytest.param(b"k8s\x01" + body("v1", "Pod", NAMED)[4:], "does not begin", id="another magic"),
    pytest.param(b"k8s\x00", "which apiVersion and kind", id="no kind"),
    pytest.param(body("v1", "", NAMED), "which apiVersion and kind", id="empty kind"),
    pytest.param(body("", "Pod", NAMED), "which apiVersion and kind", id="empty version"),
    pytest.param(body("v1", "Pod\n", NAMED), "which apiVersion and kind", id="a kind that is no name"),
    pytest.param(body("a/b/v1", "Pod", NAMED), "which apiVersion and kind", id="a version that is no name"),
    pytest.param(body("v1", "Pod", NAMED, after=held(3, "gzip")), "another encoding", id="compressed"),
    pytest.param(body("v1", "Pod", NAMED, after=held(4, "application/json")), "another encoding", id="holds json"),
    pytest.param(body("v1", "Pod", NAMED, after=held(2, NAMED)), "stands twice", id="two objects"),
    pytest.param(body("v1", "Pod", NAMED, after=held(1, held(2, "Secret"))), "stands twice", id="two kinds"),
    pytest.param(body("v1", "Pod", NAMED) + b"\x00", "out of range", id="a byte too many"),
    pytest.param(body("v1", "Pod", NAMED) + b"\x2a", "cut off", id="ends in a field"),
    pytest.param(body("v1", "Pod", NAMED)[:-5], "cut off", id="ends in the object"),
    pytest.param(body("v1", "Pod", NAMED * 2), "stands twice", id="metadata twice"),
    pytest.param(body("v1", "Pod", held(1, held(1, "a") * 2)), "stands twice", id="name twice"),
    pytest.param(body("v1", "Pod", held(1, held(1, "") + held(1, "a"))), "stands twice", id="name empty, then again"),
    pytest.param(body("v1", "Pod", held(1, held(1, b"\xff"))), "not UTF-8", id="name of other bytes"),
    pytest.param(body("v1", "Pod", held(1, held(1, b"\xed\xa0\x80"))), "not UTF-8", id="name with a surrogate"),
    pytest.param(body("v1", "Pod", held(1, number(1, 1))), "wire type", id="name is a number"),
    pytest.param(body("v1", "Pod", held(1, b"\x0d1234")), "wire type", id="name is of four bytes"),
    pytest.param(body("v1", "Pod", NAMED + GROUP), "a group", id="group"),
    pytest.param(body("v1", "Pod", NAMED + b"\x4f"), "a group", id="wire type 7"),
    pytest.param(body("v1", "Pod", NAMED + held(0, "x")), "field number", id="field 0"),
    pytest.param(body("v1", "Pod", held((1 << 32) + 1, held(1, "n"))), "field number", id="field 1 after wrapping"),
    pytest.param(body("v1", "Pod", b"\x8a\x00" + held(1, "n")[1:]), "more bytes than", id="padded tag"),
    pytest.param(body("v1", "Pod", b"\x0a\x83\x00\x0a\x01n"), "more bytes than", id="padded length"),
    pytest.param(body("v1", "Pod", b"\x0a" + b"\xff" * 10), "more than 64 bits", id="length of 70 bits"),
    pytest.param(body("v1", "Pod", b"\x0a" + b"\xff" * 9 + b"\x01"), "cut off", id="length of all bits"),
    pytest.param(body("v1", "Pod", b"\x0a" + b"\xff" * 9 + b"\x02"), "more than 64 bits", id="length of 65 bits"),
    pytest.param(body("v1", "Pod", NAMED + held(2, number(11, 2))), "neither 0 nor 1", id="boolean 2"),
    pytest.param(body("v1", "Pod", NAMED + held(2, number(25, 1 << 31))), "out of the range", id="priority 2^31"),
    pytest.param(
        body("v1", "Pod", NAMED + held(2, number(25, 1 << 32))), "out of the range", id="priority 2^32, read 0"
    ),
    pytest.param(body("v1", "Secret", held(2, held(1, "k") + held(2, "v")) * 2), "same key", id="key twice"),
    pytest.param(body("v1", "Pod", held(1, held(8, number(1, 1 << 60)))), "time is out of", id="year of long ago"),
    pytest.param(body("v1", "Pod", held(1, held(8, number(1, 1) + number(2, -1)))), "fraction", id="time less a bit"),
    pytest.param(
        body("v1", "ResourceQuota", held(2, held(1, held(1, "pods") + held(2, held(1, "many"))))),
        "not a quantity",
        id="quantity of no number",
    ),
    pytest.param(
        body("apps/v1", "ControllerRevision", held(2, held(1, '{"a":1,"a":2}'))), "same key twice", id="json twice"
    ),
    pytest.param(body("apps/v1", "ControllerRevision", held(2, held(1, "{"))), "holds JSON", id="json cut off"),
    pytest.param(body("apps/v1", "ControllerRevision", held(2, held(1, b"k8s\x00"))), "which", id="body in a body"),
    pytest.param(
        body("policy/v1", "PodDisruptionBudget", held(2, held(1, number(1, 2)))), "neither a number", id="third of two"
    ),
    pytest.param(body("new.example/v1", "Thing", NAMED + GROUP), "a group", id="group in an unknown kind"),
    pytest.param(body("new.example/v1", "Thing", NAMED * 2), "stands twice", id="unknown kind, metadata twice"),
]


@pytest.mark.parametrize(("data", "says"), WRONG)
def test_a_body_that_is_not_clear_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(Undecodable, match=says) as raised:
        decode(data)
    assert raised.value.status == 400


def test_every_shorter_body_is_refused_until_the_object_is_whole() -> None:
    whole = encode({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "n"}, "spec": {"nodeName": "a"}})
    ends_of_fields = {len(MAGIC + held(1, held(1, "v1") + held(2, "Pod"))), len(whole) - 4, len(whole) - 2}
    for end in set(range(len(whole))) - ends_of_fields:
        with pytest.raises(Undecodable):
            decode(whole[:end])


def test_limits_are_of_bytes_depth_and_values() -> None:
    pod = body("v1", "Pod", NAMED + held(2, held(2, b"") * 40))
    with pytest.raises(Undecodable, match="larger than 50 bytes") as raised:
        decode(pod, max_bytes=50)
    assert raised.value.status == 413
    with pytest.raises(Undecodable, match="more than 100 values") as raised:
        decode(pod, max_nodes=100)
    assert raised.value.status == 413
    with pytest.raises(Undecodable, match="nested deeper than 3"):
        decode(pod, max_depth=3)
    assert decode(pod, max_depth=4).known


def test_bodies_in_bodies_end_at_the_depth_limit() -> None:
    inner = body("v1", "Namespace", NAMED)
    for _ in range(100):
        inner = body("apps/v1", "ControllerRevision", held(2, held(1, inner)))
    with pytest.raises(Undecodable, match="nested deeper"):
        decode(inner)


def test_a_body_in_a_body_is_read() -> None:
    inner = body("v1", "Namespace", NAMED)
    made = of(held(2, held(1, inner)), "ControllerRevision", "apps/v1")
    assert as_object(made["data"])["metadata"] == {"name": "n"}


def test_an_unknown_field_is_left_out_and_named() -> None:
    decoded = decode(body("v1", "Pod", NAMED + held(2, held(999, "x") + held(10, "node")) + number(77, 1)))
    assert not decoded.known
    assert decoded.unknown == ("core.v1/PodSpec field 999", "core.v1/Pod field 77")
    assert as_object(decoded.object["spec"])["nodeName"] == "node"


def test_an_unknown_field_of_the_envelope_is_named() -> None:
    decoded = decode(body("v1", "Pod", NAMED, after=held(5, "x")))
    assert decoded.unknown == ("runtime/Unknown field 5",)


def test_unknown_fields_are_not_listed_without_end() -> None:
    decoded = decode(body("v1", "Pod", b"".join(number(n, 1) for n in range(100, 5000))))
    assert not decoded.known
    assert len(decoded.unknown) == 20


@pytest.mark.parametrize(
    ("message", "metadata"),
    [
        pytest.param(
            held(1, held(1, "n") + held(3, "ns")) + held(2, "rest"), {"name": "n", "namespace": "ns"}, id="usual"
        ),
        pytest.param(held(1, "no metadata at all"), None, id="text first"),
        pytest.param(number(1, 5), None, id="number first"),
        pytest.param(b"", None, id="empty"),
    ],
)
def test_of_an_unknown_kind_the_metadata_is_read_where_it_has_some(
    message: bytes, metadata: dict[str, str] | None
) -> None:
    decoded = decode(body("new.example/v1", "Thing", message))
    expected: JsonObject = {"apiVersion": "new.example/v1", "kind": "Thing"}
    if metadata is not None:
        expected["metadata"] = dict(metadata)
    assert decoded.object == expected
    assert not decoded.known
    assert decoded.unknown == ("new.example/v1 Thing",)


@pytest.mark.parametrize("version", ["v1", "apps/v1", "new.example/v1"])
def test_options_are_known_under_every_version(version: str) -> None:
    decoded = decode(body(version, "DeleteOptions", number(1, 0) + held(4, "Foreground") + held(5, "All")))
    assert decoded.known
    assert decoded.object == {
        "apiVersion": version,
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Foreground",
        "dryRun": ["All"],
    }


def test_a_message_that_is_no_kind_is_not_known_as_one() -> None:
    assert not decode(body("v1", "PodSpec", b"")).known


def test_the_object_may_be_absent() -> None:
    decoded = decode(body("v1", "DeleteOptions", b"").replace(held(2, b""), b"", 1))
    assert decoded.object == {"apiVersion": "v1", "kind": "DeleteOptions"}


def test_numbers_are_packed_or_not() -> None:
    groups = [65534, -1]
    one_by_one = spec(held(14, b"".join(number(4, n) for n in groups)))
    packed = spec(held(14, held(4, b"".join(varint(n) for n in groups))))
    mixed = spec(held(14, number(4, groups[0]) + held(4, varint(groups[1])) + held(4, b"")))
    assert one_by_one == packed == mixed
    assert as_object(packed["securityContext"])["supplementalGroups"] == groups
    assert as_object(spec(held(14, held(4, b"")))["securityContext"]) == {}


@pytest.mark.parametrize("packed", [b"\x80", b"\x80\x00", b"\xff" * 11])
def test_packed_numbers_that_are_cut_or_padded_are_refused(packed: bytes) -> None:
    with pytest.raises(Undecodable, match="number"):
        spec(held(14, held(4, packed)))


def test_false_is_kept_where_it_may_be_absent() -> None:
    assert spec(number(21, 0))["automountServiceAccountToken"] is False
    assert "hostNetwork" not in spec(number(11, 0))


def test_secret_values_are_base64_and_empty_ones_stay() -> None:
    pairs = held(2, held(1, "a") + held(2, b"\x00\xff")) + held(2, held(1, "b") + held(2, "")) + held(2, held(1, "c"))
    assert of(NAMED + pairs, "Secret")["data"] == {"a": b64encode(b"\x00\xff").decode(), "b": "", "c": ""}


def test_a_map_entry_may_lack_its_key() -> None:
    assert of(NAMED + held(2, held(2, "v")), "ConfigMap")["data"] == {"": "v"}


TIMES = [
    pytest.param(b"", None, id="empty"),
    pytest.param(number(1, 0), "1970-01-01T00:00:00Z", id="epoch"),
    pytest.param(number(1, 1) + number(2, 999_999_999), "1970-01-01T00:00:01Z", id="less than a second is dropped"),
    pytest.param(number(1, -62135596799), "0001-01-01T00:00:01Z", id="year 1"),
    pytest.param(number(1, -62135596800), None, id="Go's zero time"),
    pytest.param(number(1, 253402300799), "9999-12-31T23:59:59Z", id="year 9999"),
]


@pytest.mark.parametrize(("message", "shown"), TIMES)
def test_times_are_shown_in_whole_seconds(message: bytes, shown: str | None) -> None:
    assert as_object(of(held(1, held(9, message)))["metadata"])["deletionTimestamp"] == shown


def test_micro_times_are_shown_to_the_microsecond() -> None:
    made = of(held(2, held(4, number(1, 1) + number(2, 1999))), "Lease", "coordination.k8s.io/v1")
    assert "1970-01-01T00:00:01.000001Z" in as_object(made["spec"]).values()
