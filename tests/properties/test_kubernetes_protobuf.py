"""Whatever bytes come, a body is read or refused; and what is written by the tables is read by them."""

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.protobuf_bodies import body, encode, held, message, number

from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes import field_tables
from holdpoint.protocols.kubernetes.protobuf import decode

pytestmark = pytest.mark.threat("T59")

KINDS = st.sampled_from([("v1", "Pod"), ("apps/v1", "Deployment"), ("v1", "Secret"), ("x/v1", "New"), ("v1", "Status")])
NUMBERS = st.integers(1, 40)
MESSAGES = st.recursive(
    st.binary(max_size=12)
    | st.builds(number, NUMBERS, st.integers(0, 2**64 - 1))
    | st.builds(held, NUMBERS, st.text(max_size=8)),
    lambda inner: st.lists(st.builds(held, NUMBERS, inner), max_size=4).map(b"".join),
    max_leaves=12,
)


def read_or_refuse(data: bytes) -> None:
    try:
        decoded = decode(data)
    except Undecodable:
        return
    assert strict_json.loads(strict_json.dumps(decoded.object)) == decoded.object
    assert decoded.known == (not decoded.unknown)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read_or_refuse(data)
    read_or_refuse(b"k8s\x00" + data)


@given(KINDS, MESSAGES)
def test_any_message_in_an_envelope_is_read_or_refused(kind: tuple[str, str], message: bytes) -> None:
    read_or_refuse(body(*kind, message))


NAMES = st.text(min_size=1, max_size=10)
TRUE = st.sampled_from([True])
TEXTS = st.dictionaries(NAMES, st.text(max_size=10), min_size=1, max_size=3)
CONTAINERS = st.fixed_dictionaries(
    {"name": NAMES, "resources": st.just({})},
    optional={
        "image": NAMES,
        "command": st.lists(st.text(max_size=5), min_size=1, max_size=3),
        "tty": TRUE,
        "env": st.lists(st.fixed_dictionaries({"name": NAMES}, optional={"value": NAMES}), min_size=1, max_size=2),
    },
)
PODS = st.fixed_dictionaries(
    {
        "apiVersion": st.just("v1"),
        "kind": st.just("Pod"),
        "metadata": st.fixed_dictionaries(
            {"name": NAMES}, optional={"labels": TEXTS, "generation": st.integers(1, 2**63 - 1)}
        ),
        "spec": st.fixed_dictionaries(
            {"containers": st.lists(CONTAINERS, min_size=1, max_size=3)},
            optional={
                "priority": st.integers(-(2**31), 2**31 - 1),
                "enableServiceLinks": st.booleans(),
                "hostNetwork": TRUE,
                "securityContext": st.fixed_dictionaries(
                    {}, optional={"supplementalGroups": st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1)}
                ),
            },
        ),
        "status": st.just({}),
    }
)
SECRETS = st.fixed_dictionaries(
    {
        "apiVersion": st.just("v1"),
        "kind": st.just("Secret"),
        "metadata": st.fixed_dictionaries({"name": NAMES}),
        "data": st.dictionaries(NAMES, st.binary(max_size=20).map(lambda b: b64encode(b).decode()), min_size=1),
    }
)


@given(PODS | SECRETS)
def test_what_is_written_is_read(made: dict[str, Any]) -> None:
    decoded = decode(encode(made))
    assert decoded.object == made
    assert decoded.known


@given(PODS, st.integers(41, (1 << 29) - 1), st.binary(max_size=5))
def test_a_field_that_nobody_knows_changes_nothing_and_is_told(made: dict[str, Any], field: int, value: bytes) -> None:
    shape = field_tables.find("v1", "Pod")
    assert shape is not None
    decoded = decode(body("v1", "Pod", message(shape, made) + held(field, value)))
    assert decoded.object == made
    assert decoded.unknown == (f"core.v1/Pod field {field}",)
