"""What callers of a cluster are told beside, and instead of, the upstream's own words."""

from dataclasses import replace
from typing import Any

import pytest
from mitmproxy.http import Headers
from mitmproxy.test import tflow
from tests.fakes.looking import Lookout
from tests.fakes.policies import ADA

from holdpoint.domain.access import Action, KubeObject, Protocol
from holdpoint.domain.decision import Permit
from holdpoint.domain.exchange import Cleared, Decoded, Forwarded, Permitted
from holdpoint.recording.flowfiles import Session
from holdpoint.settings import Warn
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.kube_answers import correct, needs_whole
from holdpoint.stages.warnings import MAX_TEXT, add_count_warning, add_head_warnings, warning

RULES = (
    "name: read, effect: allow, match: {verbs: [get], resources: [pods]}",
    "name: change, effect: hold, match: {verbs: [patch], resources: [pods]}, approval: {reviewers: ['group:a']}",
)
REVIEW = KubeObject("authorization.k8s.io", "v1", "selfsubjectaccessreviews")


@pytest.fixture
def lookout(tmp_path) -> Lookout:
    return Lookout(tmp_path, *RULES, cluster=True)


def decoded(lookout: Lookout, resource: KubeObject, **arguments: Any) -> Decoded:
    call = lookout.call(who=ADA)
    action = Action(Protocol.KUBERNETES, "create")
    access = replace(call.access, target="web", action=action, resource=resource, arguments=arguments)
    return replace(call, access=access)


def asked(lookout: Lookout, verb: str, resource: KubeObject = REVIEW):
    flow = tflow.tflow(resp=True)
    spec = {"resourceAttributes": {"verb": verb, "resource": "pods", "namespace": "dev"}}
    lookout.gateway.exchanges.begin(flow, "ex-1").state = decoded(lookout, resource, spec=spec)
    said = {"kind": "SelfSubjectAccessReview", "spec": spec, "status": {"allowed": True}}
    return flow, said, correct(lookout.gateway, flow, said)


def warnings(flow) -> list[str]:
    return flow.response.headers.get_all("warning")


@pytest.mark.threat("T42")
def test_may_i_is_answered_by_the_policies_in_force(lookout):
    flow, said, shown = asked(lookout, "get")
    assert shown == said
    assert warnings(flow) == []
    flow, said, shown = asked(lookout, "delete")
    assert shown["status"] == {"allowed": False, "reason": "denied by holdpoint: no rule allows this"}
    assert said["status"] == {"allowed": True}


@pytest.mark.threat("T42")
def test_what_needs_approval_is_allowed_with_a_warning(lookout):
    flow, _, shown = asked(lookout, "patch")
    assert shown["status"] == {"allowed": True, "reason": "allowed after approval (p/change)"}
    assert warnings(flow) == ['299 - "holdpoint: allowed after approval (p/change)"']


def test_other_answers_stay(lookout):
    flow, said, shown = asked(lookout, "delete", KubeObject("", "v1", "pods", "", "dev", "x"))
    assert shown is said
    assert warnings(flow) == []
    assert not needs_whole(decoded(lookout, KubeObject("", "v1", "pods")).access)
    assert needs_whole(decoded(lookout, REVIEW).access)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("approved by bo", '299 - "approved by bo"', id="plain"),
        pytest.param('say "hi" \\ bye', '299 - "say \\"hi\\" \\\\ bye"', id="quotes and backslashes"),
        pytest.param("a\r\nSet-Cookie: x", '299 - "a Set-Cookie: x"', id="lines"),
        pytest.param("jürgen\x00\x7f", '299 - "j?rgen??"', id="no ASCII"),
        pytest.param("a" * 500, f'299 - "{"a" * (MAX_TEXT - 3)}..."', id="long"),
    ],
)
def test_warning_is_one_quoted_line_of_bounded_length(text, expected):
    assert warning(text) == expected


def exchange(lookout: Lookout, *, observed: str = "", of: KubeObject = REVIEW, **found: Any) -> Exchange:
    permitted = Permitted(decoded(lookout, of), Permit("sha256:x", ()), observed)
    state = Forwarded(Cleared(permitted), "sha256:y")
    return Exchange("ex-1", state=state, session=Session("s-1", 0.0), **found)


@pytest.mark.parametrize(
    ("told", "found", "expected"),
    [
        pytest.param(None, {}, [], id="nothing to tell"),
        pytest.param(None, {"approved_by": ("a@x", "b@x")}, ["approved by a@x, b@x"], id="approved"),
        pytest.param(
            None,
            {"approved_by": ("a@x", "b@x"), "comments": (("b@x", "after\nlunch"),)},
            ["approved by a@x, b@x", "b@x wrote: after lunch"],
            id="approved with a comment",
        ),
        pytest.param(None, {"masks": ("m",)}, [], id="masked, read whole"),
        pytest.param(None, {"masks": ("m",), "streamed": True}, [], id="masked, streamed"),
        pytest.param(
            None,
            {"masks": ("m", "n"), "streamed": True, "of": KubeObject("", "v1", "secrets", namespace="shop")},
            ["may be masked by m, n"],
            id="Secrets, streamed",
        ),
        pytest.param({"recorded"}, {"approved_by": ("a@x",)}, ["recorded as s-1"], id="recorded only"),
        pytest.param(None, {"observed": "would be denied"}, ["observed only, would be denied"], id="observed"),
        pytest.param(set(), {"approved_by": ("a@x",)}, [], id="nothing wanted"),
        pytest.param(
            set(),
            {"broken_by": "a@x"},
            ["approved by nobody: a@x broke the glass, and it will be reviewed"],
            id="broken glass, whatever is wanted",
        ),
    ],
)
def test_head_warns_of_what_the_target_says(lookout, told, found, expected):
    target = lookout.services.settings.target("web")
    target = target if told is None else replace(target, warnings=frozenset(map(Warn, told)))
    flow = tflow.tflow(resp=True)
    add_head_warnings(flow.response, target, exchange(lookout, **found))
    assert warnings(flow) == [warning(f"holdpoint: {text}") for text in expected]


def test_upstream_does_not_warn_in_the_name_of_the_gateway(lookout):
    flow = tflow.tflow(resp=True)
    flow.response.headers = Headers(
        [(b"Warning", b'299 - "Holdpoint: approved by ada"'), (b"warning", b'299 - "v1beta1 is deprecated"')]
    )
    add_head_warnings(flow.response, lookout.services.settings.target("web"), exchange(lookout))
    assert warnings(flow) == ['299 - "v1beta1 is deprecated"']


@pytest.mark.parametrize(("masked", "expected"), [(0, []), (1, ["1 field was masked"]), (2, ["2 fields were masked"])])
def test_count_of_what_was_masked_is_told(lookout, masked, expected):
    flow = tflow.tflow(resp=True)
    add_count_warning(flow.response, lookout.services.settings.target("web"), exchange(lookout, masked=masked))
    assert warnings(flow) == [warning(f"holdpoint: {text}") for text in expected]


def test_other_targets_are_warned_of_nothing(lookout):
    flow = tflow.tflow(resp=True)
    found = exchange(lookout, masked=3, approved_by=("a@x",))
    add_head_warnings(flow.response, lookout.target, found)
    add_count_warning(flow.response, lookout.target, found)
    assert warnings(flow) == []
