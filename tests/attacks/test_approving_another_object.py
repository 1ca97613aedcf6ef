"""Requests that a reviewer could not tell from the one that was approved, and the API server could."""

from urllib.parse import quote_plus

import pytest
from tests.fakes.protobuf_bodies import body, held

from holdpoint.domain.access import AccessRequest, KubeObject, Principal
from holdpoint.domain.mask import KeyMask, MaskAction, MaskProfile
from holdpoint.domain.values import JsonObject, as_object
from holdpoint.masking.masker import Masker, compile_masks
from holdpoint.protocols.call import Call, Undecodable
from holdpoint.protocols.kubernetes.decode import decode
from holdpoint.stages.preview import sealed_intent
from holdpoint.stages.sealing import masked_path

KEY = b"k" * 32
PATH = "/api/v1/namespaces/shop/configmaps"
NAMED = held(1, held(1, "app"))
PLAIN = compile_masks([], key=KEY)


def created(message: bytes, kind: str = "ConfigMap") -> Call:
    headers = [(b"content-type", b"application/vnd.kubernetes.protobuf")]
    return decode(method="POST", path=PATH, headers=headers, body=body("v1", kind, message))


def bound(call: Call, masker: Masker = PLAIN) -> JsonObject:
    """What an approval is bound to."""
    access = AccessRequest(
        principal=Principal("https://issuer.example", "u", "human"),
        target="cluster",
        action=call.action,
        resource=call.resource,
        arguments=call.arguments,
    )
    return as_object(sealed_intent(call.intent, masker, KEY, access=access))


@pytest.mark.threat("T59")
@pytest.mark.parametrize("kind", ["ConfigMap", "Unheard"])
def test_what_the_gateway_cannot_read_of_a_body_is_part_of_what_is_approved(kind):
    one, other, same = (created(NAMED + held(99, text), kind) for text in ("one", "two", "one"))
    assert isinstance(one.resource, KubeObject)
    assert not one.resource.options.known
    assert bound(one) != bound(other)
    assert bound(one) == bound(same)


@pytest.mark.threat("T59")
def test_digest_of_what_cannot_be_read_is_keyed_where_it_is_shown():
    call = created(NAMED + held(99, "one"))
    unread = as_object(call.intent)["unread"]
    assert str(unread) not in str(bound(call))


def test_body_that_is_read_whole_is_the_same_request_in_every_encoding():
    json = decode(
        method="POST",
        path=PATH,
        headers=[(b"content-type", b"application/json")],
        body=b'{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app"}}',
    )
    assert json.intent == created(NAMED).intent


COMMANDS = [
    ("mysql", "--password", "hunter2"),
    ("mysql", "-password", "hunter2"),
    ("sh", "-c", "mysql --password hunter2 shop"),
    ("vault", "--token=hunter2"),
    ("curl", "--api-key", "hunter2"),
]


def executed(*argv: str) -> tuple[str, Call]:
    query = "&".join(f"command={quote_plus(each)}" for each in argv)
    path = f"/api/v1/namespaces/shop/pods/web/exec?{query}&container=main"
    return path, decode(method="GET", path=path, headers=[], body=b"")


@pytest.mark.threat("T39")
@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
def test_password_in_a_command_is_told_apart_and_not_shown(argv):
    path, call = executed(*argv)
    _, other = executed(*(each.replace("hunter2", "hunter3") for each in argv))
    masker = compile_masks([MaskProfile("m", keys=(KeyMask("*token", MaskAction.REDACT),))], key=KEY)
    assert "hunter2" not in str(bound(call, masker))
    assert "hunter2" not in masked_path(path, masker)
    assert bound(call, masker) == bound(executed(*argv)[1], masker) != bound(other, masker)


@pytest.mark.parametrize(
    "argv", [("ls", "--color", "auto"), ("mysql", "--user", "shop", "-e", "select 1")], ids=" ".join
)
def test_command_without_a_password_is_shown_whole(argv):
    path, call = executed(*argv)
    assert as_object(bound(call)["query"])["command"] == [*argv]
    assert masked_path(path, compile_masks([], key=KEY)) == path


@pytest.mark.threat("T38")
@pytest.mark.parametrize("number", ["9223372036854775809", "-9223372036854775809", "18446744073709551615", "9" * 400])
def test_number_that_the_api_server_would_round_is_refused(number):
    data = b'{"metadata": {"name": "app"}, "spec": %s}' % number.encode()
    with pytest.raises(Undecodable, match="digits"):
        decode(method="POST", path=PATH, headers=[(b"content-type", b"application/json")], body=data)


@pytest.mark.parametrize(
    "number", ["9223372036854775807", "-9223372036854775808", "9223372036854775808", "1" + "0" * 22]
)
def test_number_that_the_api_server_keeps_is_taken(number):
    data = b'{"metadata": {"name": "app"}, "spec": %s}' % number.encode()
    call = decode(method="POST", path=PATH, headers=[(b"content-type", b"application/json")], body=data)
    assert call.arguments["spec"] == int(number)
