from dataclasses import replace

import pytest

from holdpoint.domain.access import AccessRequest, Action, KubeObject, Principal, Protocol
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes.decode import decode
from holdpoint.protocols.kubernetes.impersonation import (
    LONGEST,
    MOST,
    Impersonated,
    asked_identity,
    impersonated,
    members,
    resources,
)

ALICE = Principal(issuer="https://idp.test", subject="alice", kind="human", person="alice@example.com")
USER = (b"Impersonate-User", b"bob")


def asked(*headers: tuple[bytes, bytes]) -> Impersonated | None:
    return impersonated([(b"accept", b"application/json"), *headers])


def decided(*headers: tuple[bytes, bytes]) -> tuple[AccessRequest, ...]:
    return tuple(AccessRequest(ALICE, "prod", call.action, call.resource) for call in members(headers))


def test_a_request_without_such_headers_asks_for_nobody() -> None:
    assert asked() is None
    assert members([(b"user-agent", b"kubectl")]) == ()


def test_every_identity_is_a_member_of_its_own_as_the_api_server_authorises_it() -> None:
    found = members(
        [
            (b"Impersonate-User", b"bob"),
            (b"impersonate-group", b"dev"),
            (b"IMPERSONATE-GROUP", b"ops"),
            (b"Impersonate-Uid", b"u-1"),
            (b"Impersonate-Extra-Scopes", b"view"),
            (b"Impersonate-Extra-Scopes", b"edit"),
        ]
    )
    assert {call.action for call in found} == {Action(Protocol.KUBERNETES, "impersonate")}
    assert [call.resource for call in found] == [
        KubeObject("", "v1", "users", name="bob"),
        KubeObject("", "v1", "groups", name="dev"),
        KubeObject("", "v1", "groups", name="ops"),
        KubeObject("authentication.k8s.io", "v1", "uids", name="u-1"),
        KubeObject("authentication.k8s.io", "v1", "userextras", subresource="scopes", name="view"),
        KubeObject("authentication.k8s.io", "v1", "userextras", subresource="scopes", name="edit"),
    ]
    assert all(call.is_write for call in found)


def test_a_service_account_is_one_and_no_user() -> None:
    (call,) = members([(b"Impersonate-User", b"system:serviceaccount:kube-system:deployer")])
    assert call.resource == KubeObject("", "v1", "serviceaccounts", namespace="kube-system", name="deployer")
    assert call.intent == {
        "verb": "impersonate",
        "resource": "serviceaccounts",
        "namespace": "kube-system",
        "name": "deployer",
    }


@pytest.mark.parametrize(
    ("name", "key"),
    [
        pytest.param(b"Impersonate-Extra-example.org%2Frole", "example.org/role", id="slash"),
        pytest.param(b"Impersonate-Extra-Some_Key", "some_key", id="underscore within the key"),
        pytest.param(b"Impersonate-Extra-%4B", "K", id="lower case first and decoded then"),
        pytest.param(b"impersonate-extra-%c3%a9", "é", id="utf-8"),
    ],
)
def test_the_key_of_an_extra_is_read_as_the_api_server_reads_it(name: bytes, key: str) -> None:
    assert asked(USER, (name, b"v")) == Impersonated("bob", extra=((key, ("v",)),))


def test_a_comma_in_a_group_does_not_make_two() -> None:
    found = asked(USER, (b"Impersonate-Group", b"cn=a,dc=b"))
    assert found is not None
    assert found.groups == ("cn=a,dc=b",)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([(b"Impersonate-User", b"")], id="empty user"),
        pytest.param([(b"Impersonate-User", b" \t")], id="blank user"),
        pytest.param([(b"Impersonate-User", b""), (b"Impersonate-User", b"bob")], id="empty and another user"),
        pytest.param([USER, USER], id="two users"),
        pytest.param([(b"Impersonate-Group", b"dev")], id="group without user"),
        pytest.param([(b"Impersonate-Uid", b"u-1")], id="uid without user"),
        pytest.param([(b"Impersonate-Extra-Scopes", b"view")], id="extra without user"),
        pytest.param([USER, (b"Impersonate-Group", b"")], id="empty group"),
        pytest.param([USER, (b"Impersonate-Group", b"a"), (b"Impersonate-Group", b"a")], id="group twice"),
        pytest.param([USER, (b"Impersonate-Uid", b"1"), (b"Impersonate-Uid", b"2")], id="two uids"),
        pytest.param([(b"Impersonate_User", b"bob")], id="underscore"),
        pytest.param([(b"Impersonate.User", b"bob")], id="dot"),
        pytest.param([USER, (b"Impersonate_Extra-a", b"b")], id="underscore before the key"),
        pytest.param([USER, (b"Impersonate-Extra-", b"b")], id="extra without key"),
        pytest.param([USER, (b"Impersonate-Extra", b"b")], id="extra without dash"),
        pytest.param([USER, (b"Impersonate-Groups", b"b")], id="unknown header"),
        pytest.param([USER, (b"Impersonate-", b"b")], id="prefix alone"),
        pytest.param([USER, (b"Impersonate-Extra-a%2", b"b")], id="broken escape"),
        pytest.param([USER, (b"Impersonate-Extra-a%ff", b"b")], id="key that is no utf-8"),
        pytest.param([USER, (b"Impersonate-Extra-a%0a", b"b")], id="line break in key"),
        pytest.param([(b"Impersonate-User", b"b\xff")], id="user that is no utf-8"),
        pytest.param([(b"Impersonate-User", "b\u202eb".encode())], id="direction character"),
        pytest.param([(b"Impersonate-User", b"b" * (LONGEST + 1))], id="too long"),
        pytest.param([USER, *((b"Impersonate-Group", b"%d" % n) for n in range(MOST))], id="too many"),
        pytest.param([(b"Impersonate-User", b"system:serviceaccount:a")], id="account without name"),
        pytest.param([(b"Impersonate-User", b"system:serviceaccount:a:b:c")], id="account with a colon more"),
        pytest.param([(b"Impersonate-User", b"system:serviceaccount:A:b")], id="namespace in capitals"),
        pytest.param([(b"Impersonate-User", b"system:serviceaccount:a:..")], id="account of dots"),
        pytest.param([(b"Impersonate-User", b"system:serviceaccount:a:b\n")], id="line break"),
    ],
)
def test_an_identity_that_is_not_clear_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Undecodable) as caught:
        members(headers)
    assert caught.value.status == 400
    assert "bob" not in str(caught.value)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([USER], id="user"),
        pytest.param([(b"Impersonate-User", b"system:serviceaccount:a:b.c")], id="service account"),
        pytest.param(
            [USER, (b"Impersonate-Group", b"z"), (b"Impersonate-Group", b"a"), (b"Impersonate-Uid", b"1")], id="groups"
        ),
        pytest.param([USER, (b"Impersonate-Extra-a%2Fb", b"1"), (b"Impersonate-Extra-a%2Fb", b"2")], id="extra"),
    ],
)
def test_what_was_decided_is_what_is_sent(headers: list[tuple[bytes, bytes]]) -> None:
    assert asked_identity(decided(*headers)) == impersonated(headers)


def test_members_without_a_user_are_no_identity() -> None:
    with pytest.raises(ValueError, match="no user"):
        asked_identity(decided(USER, (b"Impersonate-Group", b"dev"))[1:])


def test_members_that_impersonate_what_nobody_can_be_are_no_identity() -> None:
    (member,) = decided(USER)
    with pytest.raises(ValueError, match="nobody is impersonated"):
        asked_identity([replace(member, resource=KubeObject("", "v1", "pods", name="a"))])


def test_members_of_other_verbs_ask_for_nobody() -> None:
    (member,) = decided(USER)
    assert asked_identity([replace(member, action=Action(Protocol.KUBERNETES, "get"))]) is None


@pytest.mark.threat("T55")
def test_what_is_asked_as_somebody_else_is_another_request_to_a_reviewer() -> None:
    def intent(*headers: tuple[bytes, bytes]) -> object:
        return decode(method="GET", path="/api/v1/namespaces/a/pods", headers=headers, body=b"").intent

    alone, as_bob = intent(), intent(USER)
    assert isinstance(alone, dict)
    assert as_bob == {**alone, "as": {"user": "bob"}}
    assert intent((b"Impersonate-User", b"bob"), (b"Impersonate-Group", b"g")) != as_bob


def test_a_reviewer_reads_whom_the_request_asks_to_be_taken_for() -> None:
    found = asked(USER, (b"Impersonate-Group", b"dev"), (b"Impersonate-Uid", b"1"), (b"Impersonate-Extra-a", b"b"))
    assert found is not None
    assert found.shown() == {"user": "bob", "groups": ["dev"], "uid": "1", "extra": {"a": ["b"]}}
    assert len(list(resources(found))) == 4
    assert Impersonated("bob").shown() == {"user": "bob"}
