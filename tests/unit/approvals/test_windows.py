"""What one approval lets pass beside the very request: the same pins, whatever the body, and nothing else."""

from dataclasses import replace

import pytest
from tests.fakes.asked import ANA, ONCE, Asked, for_time, kube, message, posted, tool
from tests.fakes.mask_profiles import shipped

from holdpoint.domain.access import Actor
from holdpoint.domain.decision import Scope

WEB = "/apis/apps/v1/namespaces/demo/deployments/web"
PODS = "/api/v1/namespaces/demo/pods"
EXEC = f"{PODS}/web/exec?command=ls&stdout=true"
PATCH = kube("PATCH", WEB, {"spec": {"replicas": 2}})


def same(one: Asked, other: Asked, *widen: str) -> bool:
    first, second = (each.window(for_time(*widen)).digest for each in (one, other))
    assert first
    assert second
    return first == second


def test_approval_of_one_request_opens_no_window():
    assert PATCH.window(ONCE).digest == ""


@pytest.mark.parametrize(
    ("one", "other", "widen"),
    [
        pytest.param(PATCH, kube("PATCH", WEB, {"spec": {"replicas": 9}}), (), id="another body"),
        pytest.param(
            PATCH,
            kube("PATCH", f"{WEB}?fieldManager=kubectl-edit", [], type_="application/json-patch+json"),
            (),
            id="another kind of patch",
        ),
        pytest.param(
            kube("GET", f"{PODS}?watch=1&resourceVersion=7"), kube("GET", f"{PODS}?watch=true"), (), id="watch again"
        ),
        pytest.param(
            kube("POST", PODS, {"metadata": {"generateName": "job-"}, "spec": {}}),
            kube("POST", PODS, {"metadata": {"generateName": "job-"}, "spec": {"a": 1}}),
            (),
            id="the same generated name",
        ),
        pytest.param(PATCH, kube("PATCH", WEB.replace("web", "api"), {}), ("name",), id="widened name"),
        pytest.param(PATCH, kube("PATCH", WEB.replace("demo", "prod"), {}), ("namespace",), id="widened namespace"),
        pytest.param(PATCH, kube("PUT", WEB, {}), ("verb",), id="widened verb"),
        pytest.param(PATCH, kube("PATCH", WEB.replace("dep", "xdep"), {}), ("resource",), id="widened resource"),
        pytest.param(kube("GET", EXEC), kube("POST", EXEC.replace("=ls", "=id")), ("command",), id="widened command"),
        pytest.param(kube("GET", EXEC), kube("GET", EXEC + "&container=a"), ("container",), id="widened container"),
        pytest.param(kube("GET", EXEC), kube("POST", EXEC), (), id="exec by either method"),
        pytest.param(
            kube("GET", f"{PODS}?labelSelector=a"),
            kube("GET", f"{PODS}?fieldSelector=b=c"),
            ("selectors",),
            id="widened",
        ),
        pytest.param(
            kube("GET", f"{PODS}/web/portforward?ports=80"),
            kube("GET", f"{PODS}/web/portforward?ports=81"),
            ("ports",),
            id="widened ports",
        ),
        pytest.param(tool("t", {"a": 1, "b": None}), tool("t", {"b": None, "a": 1}), (), id="another order"),
        pytest.param(tool("t", {"a": 1}), tool("t", {"b": 2}), ("arguments",), id="widened arguments"),
        pytest.param(tool("t", {"a": 1, "n": 2}), tool("t", {"a": 1}), ("arguments.n",), id="widened argument"),
        pytest.param(tool("t"), tool("t", {}), ("arguments",), id="no arguments at all"),
    ],
)
def test_same_pins_are_one_window(one, other, widen):
    assert same(one, other, *widen)


ALL_OF_KUBERNETES = ("verb", "resource", "name", "namespace", "command", "container", "selectors", "ports")
APPLY = "application/apply-patch+yaml"
NAMED = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}


@pytest.mark.threat("T61")
@pytest.mark.parametrize(
    ("one", "other", "widen"),
    [
        pytest.param(
            kube("PATCH", f"{WEB}?dryRun=All", {}),
            kube("PATCH", f"{WEB.replace('apps', 'agg.example')}?dryRun=All", {}),
            ("resource",),
            id="a dry run that nobody may heed",
        ),
        pytest.param(
            kube("DELETE", f"{PODS}/web"),
            kube("DELETE", "/api/v1/namespaces/demo"),
            ("resource", "name"),
            id="the namespace, not what is in it",
        ),
        pytest.param(
            kube("DELETE", f"{PODS}/web"),
            kube("DELETE", "/api/v1/namespaces/web"),
            ("resource", "namespace"),
            id="a namespace of the same name",
        ),
        pytest.param(PATCH, kube("PATCH", WEB.replace("web", "api"), {}), (), id="name"),
        pytest.param(PATCH, kube("PUT", WEB, {}), (), id="verb"),
        pytest.param(PATCH, kube("DELETE", WEB), (), id="delete"),
        pytest.param(PATCH, kube("PATCH", WEB.replace("demo", "prod"), {}), (), id="namespace"),
        pytest.param(PATCH, kube("PATCH", WEB.replace("/apps/", "/crd.example/"), {}), (), id="group"),
        pytest.param(PATCH, kube("PATCH", WEB + "/scale", {}), ALL_OF_KUBERNETES, id="subresource"),
        pytest.param(PATCH, kube("PATCH", WEB, {}, target="test"), (), id="target"),
        pytest.param(PATCH, kube("PATCH", WEB, {}, impersonate_user="root"), ALL_OF_KUBERNETES, id="impersonated"),
        pytest.param(
            kube("PATCH", WEB, {}, impersonate_user="root"),
            kube("PATCH", WEB, {}, impersonate_user="root", impersonate_group="a"),
            ALL_OF_KUBERNETES,
            id="impersonated group",
        ),
        pytest.param(PATCH, kube("PATCH", WEB, {}, who=replace(ANA, actor=None)), ALL_OF_KUBERNETES, id="no agent"),
        pytest.param(PATCH, kube("PATCH", WEB, {}, who=replace(ANA, actor=Actor("gpt"))), (), id="another agent"),
        pytest.param(PATCH, kube("PATCH", WEB, {}, who=replace(ANA, subject="bo")), ALL_OF_KUBERNETES, id="principal"),
        pytest.param(
            PATCH, kube("PATCH", WEB, {}, who=replace(ANA, legs=(ANA,))), ALL_OF_KUBERNETES, id="through a call"
        ),
        pytest.param(kube("PATCH", f"{WEB}?dryRun=All", {}), PATCH, ALL_OF_KUBERNETES, id="what was only tried"),
        pytest.param(PATCH, kube("PATCH", WEB, NAMED, type_=APPLY), (), id="server-side apply, which creates"),
        pytest.param(
            kube("DELETE", f"{PODS}/web"), kube("DELETE", PODS), ALL_OF_KUBERNETES, id="all of them in place of one"
        ),
        pytest.param(
            kube("GET", PODS), kube("GET", "/api/v1/pods"), ALL_OF_KUBERNETES, id="all namespaces in place of one"
        ),
        pytest.param(kube("DELETE", f"{PODS}?labelSelector=a"), kube("DELETE", PODS), (), id="selector"),
        pytest.param(kube("GET", EXEC), kube("GET", EXEC.replace("=ls", "=id")), (), id="command"),
        pytest.param(kube("GET", EXEC), kube("GET", EXEC + "&command=-l"), (), id="longer command"),
        pytest.param(kube("GET", EXEC), kube("GET", EXEC + "&stdin=true"), (), id="input"),
        pytest.param(kube("GET", EXEC), kube("GET", EXEC + "&tty=1"), (), id="terminal"),
        pytest.param(kube("GET", EXEC), kube("GET", EXEC + "&container=a"), (), id="container"),
        pytest.param(kube("GET", EXEC), kube("GET", EXEC.replace("/exec", "/attach")), ALL_OF_KUBERNETES, id="attach"),
        pytest.param(
            kube("GET", f"{PODS}/web/log?container=a"), kube("GET", f"{PODS}/web/log?container=b"), (), id="log"
        ),
        pytest.param(
            kube("GET", f"{PODS}/web/portforward?ports=80"),
            kube("GET", f"{PODS}/web/portforward?ports=81"),
            (),
            id="ports",
        ),
        pytest.param(
            kube("POST", PODS, {"metadata": {"generateName": "job-"}}),
            kube("POST", PODS, {"metadata": {"generateName": "root-"}}),
            (),
            id="generated name",
        ),
        pytest.param(
            kube("POST", PODS, {"metadata": {"name": "job-"}}),
            kube("POST", PODS, {"metadata": {"generateName": "job-"}}),
            (),
            id="a beginning is no name",
        ),
        pytest.param(
            kube("GET", f"{PODS}?odd=1"), kube("GET", f"{PODS}?odd=2"), ALL_OF_KUBERNETES, id="unknown part of a query"
        ),
        pytest.param(
            kube("GET", f"{PODS}/web/proxy/a"), kube("GET", f"{PODS}/web/proxy/b"), ALL_OF_KUBERNETES, id="proxy"
        ),
        pytest.param(
            kube("POST", f"{PODS}/web/proxy/a", {"a": 1}),
            kube("POST", f"{PODS}/web/proxy/a", {"a": 2}),
            (),
            id="behind a proxy",
        ),
        pytest.param(kube("GET", "/metrics"), kube("GET", "/version"), ALL_OF_KUBERNETES, id="path"),
        pytest.param(tool("t", {"a": 1}), tool("t", {"a": 2}), (), id="argument"),
        pytest.param(tool("t", {"a": 1}), tool("u", {"a": 1}), ("arguments",), id="tool"),
        pytest.param(tool("t", {"a": 1}), tool("t", {"a": 1.0}), (), id="1 and 1.0"),
        pytest.param(tool("t", {"a": 1}), tool("t", {"a": "1"}), (), id="1 and its text"),
        pytest.param(tool("t", {"a": 1}), tool("t", {"a": True}), (), id="1 and true"),
        pytest.param(tool("t", {"a": None}), tool("t", {}), (), id="null and nothing"),
        pytest.param(tool("t", {}), tool("t"), (), id="empty and nothing"),
        pytest.param(tool("t", {"a": None}), tool("t", {}), ("arguments.b",), id="null and nothing beside"),
        pytest.param(tool("t", {"a": 1}), tool("t", {"a": 1, "b": 2}), ("arguments.c",), id="one more argument"),
        pytest.param(tool("t", {"a": {"b": 1}}), tool("t", {"a": {"b": 2}}), ("arguments.a.b",), id="no paths"),
        pytest.param(
            tool("t", {}), tool("t", {}, _meta={"x.example/mode": "fast"}), ("arguments",), id="what decides in _meta"
        ),
        pytest.param(
            message("prompts/get", {"name": "t", "arguments": {"a": "1"}}),
            message("prompts/get", {"name": "t", "arguments": {"a": "2"}}),
            (),
            id="argument of a prompt",
        ),
    ],
)
def test_other_pins_are_another_window(one, other, widen):
    assert not same(one, other, *widen)


def test_what_is_left_open_is_part_of_the_window():
    call = tool("t", {"a": 1})
    digests = [call.window(for_time(*w)).digest for w in ((), ("arguments",), ("arguments.b",))]
    assert len(set(digests)) == 2  # of `b` nothing is there to leave open
    digests = [PATCH.window(for_time(w)).digest for w in ALL_OF_KUBERNETES]
    assert len(set(digests)) == len(ALL_OF_KUBERNETES)


def batch(*arguments: object) -> Asked:
    calls = [
        {"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": {"name": "t", "arguments": a}}
        for n, a in enumerate(arguments)
    ]
    return posted(calls, version="2025-03-26")


def test_batch_is_pinned_whole():
    assert same(batch({"a": 1}, {"a": 2}), batch({"a": 1}, {"a": 2}), "arguments")
    assert not same(batch({"a": 1}, {"a": 2}), batch({"a": 1}, {"a": 3}), "arguments")


def test_window_over_another_definition_of_the_tool_is_another():
    call = tool("t", {"a": 1})
    assert call.window(for_time(), t=["sha256:1"]).digest != call.window(for_time(), t=["sha256:2"]).digest


def test_masked_values_are_pinned_and_not_shown():
    masker = shipped("credentials")
    one, other = (tool("t", {"password": p, "a": 1}, masker=masker) for p in ("hunter2-hunter2", "hunter3-hunter3"))
    assert not same(one, other)
    assert same(one, other, "arguments.password")
    opens = one.window(for_time()).opens
    assert "hunter" not in opens
    assert "password = `[masked]`" in opens


def test_object_that_a_mask_hid_whole_is_pinned_whole():
    one, other = (
        replace(kube("POST", PODS, {"metadata": {"generateName": "a-"}}), intent={**said, "object": mark})
        for said in [kube("POST", PODS, {}).intent]
        if isinstance(said, dict)
        for mark in ("[sealed:1]", "[sealed:2]")
    )
    assert not same(one, other)
    assert "this very request" in one.window(for_time()).opens


@pytest.mark.parametrize(
    ("asked", "carries", "opens"),
    [
        pytest.param(
            PATCH,
            for_time(),
            "any patch of deployments/web in namespace demo, whatever it changes, "
            "by ana@x through agent claude, for 15 minutes from the approval",
            id="patch",
        ),
        pytest.param(
            PATCH,
            ONCE,
            "this one request: patch `deployments demo/web`, by ana@x through agent claude, once",
            id="once",
        ),
        pytest.param(
            PATCH,
            for_time("name", "namespace", "verb"),
            "anything done to any one of deployments in any one namespace, whatever it changes, "
            "by ana@x through agent claude, for 15 minutes from the approval",
            id="widened",
        ),
        pytest.param(
            PATCH,
            for_time("resource"),
            "any patch of objects of any kind named web in namespace demo, whatever it changes, "
            "by ana@x through agent claude, for 15 minutes from the approval",
            id="any kind",
        ),
        pytest.param(
            kube("PATCH", WEB, NAMED, type_=APPLY),
            for_time(),
            "any server-side apply, which creates what is not there, of deployments/web in namespace demo, "
            "whatever it changes, by ana@x through agent claude, for 15 minutes from the approval",
            id="apply",
        ),
        pytest.param(
            kube("DELETE", f"{PODS}?labelSelector=app%3Dweb"),
            for_time(seconds=3_600),
            "any deletecollection of all pods at once in namespace demo, with labels `app=web`, "
            "in whatever time and whatever becomes of what it owns, "
            "by ana@x through agent claude, for 1 hour from the approval",
            id="deletecollection",
        ),
        pytest.param(
            kube("GET", "/api/v1/secrets"),
            for_time(),
            "any list of all secrets at once in the whole cluster, "
            "by ana@x through agent claude, for 15 minutes from the approval",
            id="list of a cluster",
        ),
        pytest.param(
            kube("POST", PODS, {"metadata": {"generateName": "job-"}}),
            for_time(),
            "any create of pods named job- and what the API server adds in namespace demo, whatever is in it, "
            "by ana@x through agent claude, for 15 minutes from the approval",
            id="generated name",
        ),
        pytest.param(
            kube("PATCH", "/apis/crd.example/v1/widgets/w/status", {}, impersonate_user="root"),
            for_time(),
            "any patch of status of widgets.crd.example/w of the cluster, whatever it changes, taken for user root, "
            "by ana@x through agent claude, for 15 minutes from the approval",
            id="as somebody",
        ),
        pytest.param(
            kube("GET", EXEC + "&command=-l&container=app&tty=1&stdin=1"),
            for_time(),
            "any exec in pods/web in namespace demo, container app with stdin and tty: ls -l, "
            "by ana@x through agent claude, for 15 minutes from the approval",
            id="exec",
        ),
        pytest.param(
            kube("GET", EXEC),
            for_time("command", "container"),
            "any exec in pods/web in namespace demo, any container, any command, "
            "by ana@x through agent claude, for 15 minutes from the approval",
            id="any command",
        ),
        pytest.param(
            kube("GET", EXEC),
            replace(ONCE, stream_seconds=600.0),
            "this one request: exec `pods/exec demo/web`: ls, by ana@x through agent claude, once; "
            "a stream that it opens ends 10 minutes after the approval",
            id="one stream",
        ),
        pytest.param(
            kube("GET", f"{PODS}/web/portforward?ports=80"),
            for_time(),
            "any portforward in pods/web in namespace demo, ports 80, "
            "by ana@x through agent claude, for 15 minutes from the approval",
            id="ports",
        ),
        pytest.param(
            kube("PATCH", f"{WEB}?dryRun=All", {}),
            for_time(),
            "any patch of deployments/web in namespace demo, tried only: nothing is stored, "
            "by ana@x through agent claude, for 15 minutes from the approval",
            id="dry run",
        ),
        pytest.param(
            tool("deploy", {"env": "prod", "count": 3}),
            for_time(scope=Scope.SESSION),
            'any call of tool deploy with count = 3, env = `"prod"`, '
            "by ana@x through agent claude, in this MCP session alone, for 15 minutes from the approval",
            id="tool",
        ),
        pytest.param(
            tool("deploy", {"env": "prod", "note": "x"}),
            for_time("arguments.note", "arguments.odd name"),
            'any call of tool deploy with env = `"prod"`, and any value of note, `odd name`, '
            "by ana@x through agent claude, for 15 minutes from the approval",
            id="any note",
        ),
        pytest.param(
            tool("deploy"),
            for_time(),
            "any call of tool deploy without arguments, "
            "by ana@x through agent claude, for 15 minutes from the approval",
            id="no arguments",
        ),
        pytest.param(
            tool("deploy", {"a": 1}),
            for_time("arguments", seconds=5_400),
            "any call of tool deploy, whatever its arguments, "
            "by ana@x through agent claude, for 90 minutes from the approval",
            id="any arguments",
        ),
        pytest.param(
            tool("x", {"a`, whatever, by root": "\u202eb"}),
            for_time(),
            'any call of tool x with `a<U+0060>, whatever, by root` = `"<U+202E>b"`, '
            "by ana@x through agent claude, for 15 minutes from the approval",
            id="name that would be a part of the sentence",
        ),
        pytest.param(
            message("resources/read", {"uri": "file:///a;b"}, who=replace(ANA, actor=None, person="bo x")),
            for_time(),
            "this very request, as often as it is made: resources/read of `resource file:///a;b`, "
            "by `bo x`, for 15 minutes from the approval",
            id="whole",
        ),
    ],
)
def test_sentence_says_what_an_approval_opens(asked, carries, opens):
    assert asked.window(carries).opens == opens


def test_long_values_are_cut_in_the_sentence_alone():
    one, other = (tool("t", {"a": "x" * 1_000 + end, **{f"n{i}": i for i in range(30)}}) for end in "ab")
    assert not same(one, other)
    opens = one.window(for_time()).opens
    assert len(opens) < 1_000
    assert "... (cut)" in opens
    assert "19 more" in opens


@pytest.mark.threat("T61")
@pytest.mark.parametrize(("group", "said"), [("apps", "nothing is stored"), ("agg.example", "may not heed")])
def test_reviewer_reads_whether_a_dry_run_is_one(group, said):
    assert said in kube("PATCH", f"{WEB.replace('apps', group)}?dryRun=All", {}).window(for_time()).opens


@pytest.mark.threat("T61")
def test_reviewer_of_a_delete_reads_that_its_options_are_open():
    one, other = (
        kube("DELETE", f"{WEB}?propagationPolicy=Orphan"),
        kube("DELETE", f"{WEB}?propagationPolicy=Foreground"),
    )
    assert same(one, other)
    assert ", in whatever time and whatever becomes of what it owns, by ana@x" in one.window(for_time()).opens
