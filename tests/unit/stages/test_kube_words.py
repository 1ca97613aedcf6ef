"""What a reviewer reads of a request to a cluster."""

import shlex
from urllib.parse import quote_plus

import pytest
from tests.fakes.mask_profiles import shipped
from tests.fakes.policies import ADA

from holdpoint.cli.approvals_list import WIDTH, what
from holdpoint.domain.access import AccessRequest
from holdpoint.domain.values import JsonObject, as_text
from holdpoint.masking.masker import Masker, compile_masks
from holdpoint.protocols.kubernetes.decode import decode
from holdpoint.stages import kube_words
from holdpoint.stages.kube_words import LONGEST, command_line, quoted
from holdpoint.stages.preview import sealed_intent

KEY = bytes(range(32))
PLAIN = compile_masks([], key=KEY)
POD = "/api/v1/namespaces/demo/pods/web"


def reviewed(
    method: str, path: str, *, masker: Masker = PLAIN, body: str = "", **headers: str
) -> tuple[str, JsonObject]:
    given = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    call = decode(method=method, path=path, headers=given, body=body.encode())
    access = AccessRequest(
        principal=ADA,
        target="web",
        action=call.action,
        resource=call.resource,
        arguments=call.arguments,
        members=tuple(
            AccessRequest(principal=ADA, target="web", action=one.action, resource=one.resource) for one in call.members
        ),
    )
    intent = sealed_intent(call.intent, masker, KEY, access=access)
    return kube_words.summary(access, intent, masker), kube_words.does(access, intent, masker)


def command(*argv: str, more: str = "", masker: Masker = PLAIN) -> tuple[str, JsonObject]:
    query = "&".join(f"command={quote_plus(one)}" for one in argv)
    return reviewed("POST", f"{POD}/exec?{query}&stdout=true{more}", masker=masker)


def test_command_of_an_exec_is_what_a_reviewer_reads_first() -> None:
    line, does = command("sh", "-c", "id; rm -rf /", more="&container=app&stdin=true&tty=true")
    assert line == "exec demo/web: sh -c 'id; rm -rf /'"
    assert does == {"command": "sh -c 'id; rm -rf /'", "container": "app", "stdin": True, "tty": True}


def test_container_that_is_not_named_is_the_pods_own_choice() -> None:
    does = command("id")[1]
    assert (does["container"], does["stdin"], does["tty"]) == ("the pod's default", False, False)


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        pytest.param("--all", "--all", id="plain"),
        pytest.param("", "''", id="nothing"),
        pytest.param("a  b ", "'a  b '", id="blanks"),
        pytest.param("it's", "'it'\\''s'", id="a quote"),
        pytest.param("id\nrm x", "$'id\\nrm x'", id="a line"),
        pytest.param("\x1b[2Ka\x00", "$'\\e[2Ka\\x00'", id="controls"),
        pytest.param("a\u202eb\\", "$'a\\u202eb\\\\'", id="the other direction"),
        pytest.param("a\u200bb\u3164", "$'a\\u200bb\\u3164'", id="no width"),
        pytest.param("a\u00a0b\U000e0041", "$'a\\u00a0b\\U000e0041'", id="other blanks and tags"),
        pytest.param("grüße", "'grüße'", id="letters"),
        pytest.param("$(id)", "'$(id)'", id="a shell's own"),
    ],
)
def test_argument_is_quoted_so_that_nothing_of_it_is_unseen(argument: str, shown: str) -> None:
    assert quoted(argument) == shown


def test_two_commands_never_look_the_same() -> None:
    assert command_line(["a b"]) != command_line(["a", "b"])
    assert shlex.split(command_line(["sh", "-c", "it's a", "", "x"])) == ["sh", "-c", "it's a", "", "x"]


def test_credential_in_a_command_is_not_shown() -> None:
    line, does = command("mysql", "--password", "hunter2", "--token=abcdef", masker=shipped("credentials"))
    assert "mysql --password" in line
    for text in (line, as_text(does["command"])):
        assert "hunter2" not in text
        assert "abcdef" not in text


@pytest.mark.parametrize(
    ("query", "ports"),
    [("?ports=8080,9090", "ports 8080, 9090"), ("", "ports that are named later")],
    ids=["named", "later"],
)
def test_ports_of_a_forward_are_named_or_said_to_come_later(query: str, ports: str) -> None:
    line, does = reviewed("GET", f"{POD}/portforward{query}")
    assert (line, does) == (f"portforward demo/web: {ports}", {"ports": ports})


def test_whom_a_request_acts_for_is_said() -> None:
    line, does = reviewed("DELETE", POD, Impersonate_User="jane doe", Impersonate_Group="system:masters")
    assert line == "delete pods demo/web as user 'jane doe', group system:masters"
    assert does == {"as": ["user 'jane doe'", "group system:masters"]}


def test_patch_says_its_type_and_whether_anything_is_stored() -> None:
    body = '{"metadata":{"labels":{"a":"b"}}}'
    path = f"{POD}?dryRun=All"
    line, does = reviewed("PATCH", path, body=body, content_type="application/merge-patch+json")
    assert line == "patch pods demo/web (merge patch) (dry run)"
    assert does == {"patch": "merge", "dry run": "the API server is asked to store nothing"}


def test_summary_is_bounded_and_the_command_is_whole() -> None:
    line, does = command("echo", "x" * 5_000)
    assert line.endswith(" ... (cut)")
    assert len(line) < LONGEST + 20
    assert len(as_text(does["command"])) > 5_000


def test_list_shows_one_line_of_bounded_width_and_text_as_text() -> None:
    line = command("sh", "-c", "echo \x1b[2K" + "y" * 200)[0]
    shown = what({"summary": line, "action": "exec", "resource": "pods/exec demo/web"})
    assert shown.startswith("exec demo/web: sh -c $'echo \\e[2Ky")
    assert shown.endswith(" ... (cut)")
    assert len(shown) == WIDTH
    assert what({"action": "tools/call", "resource": "tool \u202ex"}) == "tools/call tool <U+202E>x"
