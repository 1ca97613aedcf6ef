import base64
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.fakes.wire import certificate

from holdpoint.cli import main

SETTINGS = """\
apiVersion: holdpoint/v1
kind: Gateway
listeners:
{listeners}
keys:
  ca: {{folder: var/ca}}
  audit: {{active: a, ring: [{{id: a, file: var/a.pem, create: true}}]}}
  digest: {{file: var/digest.key}}
issuers:
{issuers}
targets:
  - name: prod
    protocol: kubernetes
    url: https://prod.example:6443
    routes: [/k8s/prod]
    hosts: [prod.gateway.example]
    credential: {{kind: none}}
  - name: tools
    protocol: mcp
    url: https://tools.example/mcp
    credential: {{kind: none}}
policies: [p.yaml]
store: {{path: var/s.sqlite}}
recordings: {{folder: var/recordings}}
admin: {{socket: var/admin.sock}}
reviewers: {{issuers: [corp], max_age: 12h}}
"""
CORP = """\
  - name: corp
    url: https://idp.example
    algorithms: [ES256]
    audiences: ["https://gateway.example/k8s/prod"]
    login: {client_id: holdpoint-cli, scopes: [openid, offline_access]}
"""
SECURE = (
    '  - {name: routes, mode: reverse, listen: "127.0.0.1:8443", url: "https://gateway.example:8443", '
    "tls: {certificate: tls/cert.pem, key: tls/key.pem}}\n"
)
PLAIN = '  - {name: plain, mode: reverse, listen: "127.0.0.1:8180"}\n'
FORWARD = '  - {name: proxy, mode: forward, listen: "127.0.0.1:8181"}\n'

LEAF = """\
-----BEGIN CERTIFICATE-----
MIIBMDCB2AIUV+Nb9SjewcWdCRQ6j/aqxnh/5fAwCgYIKoZIzj0EAwIwHTEbMBkG
A1UEAwwSSW52ZW50ZWQgQXV0aG9yaXR5MB4XDTI2MTEyMTA5MTMyMVoXDTM2MTEx
ODA5MTMyMVowGjEYMBYGA1UEAwwPZ2F0ZXdheS5leGFtcGxlMFkwEwYHKoZIzj0C
AQYIKoZIzj0DAQcDQgAEKN4CslUV3lNPqzlNUDrSEfP5mfmAg3Wc2OYO1CDSEisO
I47NiovUgYnzRkexcq9pVcx7I+jcYscJVqysvpgVpjAKBggqhkjOPQQDAgNHADBE
AiB0a5vtYjKy+7CnmzKVqb6A0W6pxvVrP+k5uf+mKf6zvgIgW/xC6K3R1PqheDwo
vTsmqAHRMWd9l7px7yBRkyVkCg0=
-----END CERTIFICATE-----
"""
"""Of gateway.example, signed by an authority that is not in the file."""

type Make = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """Writes gateway.yaml and what it names."""

    def make(listeners: str = SECURE + FORWARD, issuers: str = CORP) -> Path:
        certificate(tmp_path / "tls")
        (tmp_path / "p.yaml").touch()
        file = tmp_path / "gateway.yaml"
        file.write_text(SETTINGS.format(listeners=listeners, issuers=issuers))
        return file

    return make


def authority_of_gateway(tmp_path: Path) -> bytes:
    folder = tmp_path / "var" / "ca"
    folder.mkdir(parents=True, mode=0o700)
    made, _ = certificate(tmp_path / "other")
    (folder / "mitmproxy-ca-cert.pem").write_bytes(made.read_bytes())
    return made.read_bytes()


def run(settings: Path, *args: str) -> int:
    return main(["--config", str(settings), "kubeconfig", *args])


def shown(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(text)
    return loaded


def test_the_route_is_the_server_and_the_listener_s_certificate_its_authority(
    made: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(made(), "prod", "--namespace", "shop") == 0
    config = shown(capsys.readouterr().out)
    [cluster], [user], [context] = config["clusters"], config["users"], config["contexts"]
    assert cluster["cluster"]["server"] == "https://gateway.example:8443/k8s/prod"
    authority = base64.b64decode(cluster["cluster"]["certificate-authority-data"])
    assert authority == (tmp_path / "tls" / "cert.pem").read_bytes()
    assert context["context"] == {"cluster": "holdpoint-prod", "user": "holdpoint-prod", "namespace": "shop"}
    assert config["current-context"] == context["name"] == "holdpoint-prod"
    asked = user["user"]["exec"]
    assert (asked["apiVersion"], asked["interactiveMode"]) == ("client.authentication.k8s.io/v1", "IfAvailable")
    assert asked["command"] == "holdpoint"
    assert "pip install ." in asked["installHint"]
    assert "PyPI is another program" in asked["installHint"]
    assert asked["args"] == [
        *["token", "--issuer-url", "https://idp.example", "--client-id", "holdpoint-cli"],
        *["--resource", "https://gateway.example/k8s/prod", "--scope", "openid", "--scope", "offline_access"],
        *["--algorithm", "ES256"],
    ]


def test_the_proxy_form_names_the_cluster_and_trusts_the_gateway(
    made: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    authority = authority_of_gateway(tmp_path)
    assert run(made(), "prod", "--proxy", "--device") == 0
    config = shown(capsys.readouterr().out)
    cluster = config["clusters"][0]["cluster"]
    assert (cluster["server"], cluster["proxy-url"]) == ("https://prod.example:6443", "http://127.0.0.1:8181")
    assert base64.b64decode(cluster["certificate-authority-data"]) == authority
    assert config["users"][0]["user"]["exec"]["args"][-1] == "--device"


def test_a_forward_listener_with_tls_is_trusted_too(
    made: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    authority = authority_of_gateway(tmp_path)
    assert run(made(SECURE.replace("reverse", "forward")), "prod", "--proxy") == 0
    cluster = shown(capsys.readouterr().out)["clusters"][0]["cluster"]
    assert cluster["proxy-url"] == "https://gateway.example:8443"
    both = authority + (tmp_path / "tls" / "cert.pem").read_bytes()
    assert base64.b64decode(cluster["certificate-authority-data"]) == both


def test_a_pod_has_no_plugin_and_needs_no_login(made: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(made(), "prod", "--in-pod", "--issuer", "of nobody") == 0
    config = shown(capsys.readouterr().out)
    assert config["users"][0]["user"] == {"tokenFile": "/var/run/secrets/holdpoint/token"}


REFUSED = [
    pytest.param(SECURE, ["tools"], "no target `tools` with `protocol: kubernetes`; known: `prod`", id="target of MCP"),
    pytest.param(SECURE, ["stage"], "no target `stage`", id="no target"),
    pytest.param(PLAIN, ["prod"], "listener `plain` speaks plain HTTP, and kubectl sends no token over it", id="http"),
    pytest.param(FORWARD, ["prod"], "no listener has `mode: reverse`", id="no reverse listener"),
    pytest.param(SECURE, ["prod", "--proxy"], "no listener has `mode: forward`", id="no forward listener"),
    pytest.param(SECURE, ["prod", "--listener", "x"], "no listener `x` with `mode: reverse`", id="no such listener"),
    pytest.param(FORWARD + SECURE, ["prod", "--proxy"], "start the gateway once", id="no authority yet"),
    pytest.param(
        SECURE + SECURE.replace("routes", "second").replace("8443", "8444"),
        ["prod"],
        "say which listener with --listener: `routes`, `second`",
        id="two listeners",
    ),
    pytest.param(SECURE, ["prod", "--issuer", "other"], "no issuer offers a login", id="no such issuer"),
    pytest.param(SECURE, ["prod", "--ca", "/nowhere.pem"], "`/nowhere.pem` does not exist", id="no authority"),
    pytest.param(SECURE.replace("tls/cert.pem", "tls/gone.pem"), ["prod"], "/tls/gone.pem`; copy it", id="no file"),
]


@pytest.mark.parametrize(("listeners", "args", "says"), REFUSED)
def test_what_would_not_work_is_refused(
    made: Make, capsys: pytest.CaptureFixture[str], listeners: str, args: list[str], says: str
) -> None:
    assert run(made(listeners), *args) == 1
    assert says in capsys.readouterr().err


def test_of_two_listeners_the_one_with_tls_is_taken(made: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(made(PLAIN + SECURE), "prod") == 0
    assert "https://gateway.example:8443/k8s/prod" in capsys.readouterr().out


def test_a_chain_without_its_root_is_left_to_the_system(
    made: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings = made()
    leaf = tmp_path / "tls" / "cert.pem"
    leaf.write_bytes(LEAF.encode())
    assert run(settings, "prod") == 0
    out, err = capsys.readouterr()
    assert "certificate-authority-data" not in out
    assert "--ca names" in err


def test_output_is_a_new_file_that_only_its_owner_reads(made: Make, tmp_path: Path) -> None:
    settings, file = made(), tmp_path / "out" / "config"
    assert run(settings, "prod", "--output", str(file)) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    assert run(settings, "prod", "--output", str(file), "--namespace", "other") == 1
    assert file.read_bytes() == before


EXISTING = """\
# written by hand
apiVersion: v1
kind: Config
current-context: mine # keep this
clusters:
- name: mine # the old one
  cluster:
    server: "https://mine.example"
users:
- name: mine
  user: {token: 'abc'}
contexts:
- name: mine
  context: {cluster: mine, user: mine}
preferences: {}
"""


def test_merging_keeps_everything_else_as_it_stands(made: Make, tmp_path: Path) -> None:
    settings, file = made(), tmp_path / "config"
    file.write_text(EXISTING)
    file.chmod(0o640)
    assert run(settings, "prod", "--merge", str(file)) == 0
    text = file.read_text()
    left = iter(text.splitlines())
    assert all(line in left for line in EXISTING.splitlines())
    config = shown(text)
    assert [each["name"] for each in config["contexts"]] == ["mine", "holdpoint-prod"]
    assert config["current-context"] == "mine"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert run(settings, "prod", "--merge", str(file)) == 0
    assert file.read_text() == text


def test_merging_replaces_only_when_told_to(made: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    settings, file = made(), tmp_path / "config"
    file.write_text(EXISTING)
    assert run(settings, "prod", "--merge", str(file), "--context", "mine") == 1
    assert "`mine` stands in `clusters` already and says something else" in capsys.readouterr().err
    assert file.read_text() == EXISTING
    assert run(settings, "prod", "--merge", str(file), "--context", "mine", "--replace") == 0
    config = shown(file.read_text())
    assert [each["name"] for each in config["users"]] == ["mine"]
    assert "exec" in config["users"][0]["user"]


def test_merging_makes_the_file_and_the_current_context_where_there_is_none(
    made: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "kube" / "config"
    monkeypatch.setenv("KUBECONFIG", f"{file}{os.pathsep}/elsewhere")
    assert run(made(), "prod", "--merge") == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert shown(file.read_text())["current-context"] == "holdpoint-prod"


def test_merging_follows_a_link_and_leaves_it(made: Make, tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text(EXISTING)
    link.symlink_to(real)
    assert run(made(), "prod", "--merge", str(link), "--use") == 0
    assert link.is_symlink()
    assert shown(real.read_text())["current-context"] == "holdpoint-prod"


BROKEN = [
    pytest.param("clusters: [", "not YAML", id="broken"),
    pytest.param("a: 1\na: 2\n", "not YAML", id="key twice"),
    pytest.param("- 1\n", "not a kubeconfig", id="a list"),
    pytest.param("kind: Pod\n", "not a kubeconfig", id="another kind"),
    pytest.param("kind: Config\nclusters: {}\n", "`clusters` is not a list", id="no list"),
    pytest.param("kind: Config\nclusters: [1]\n", "no entry", id="no entry"),
    pytest.param(
        "kind: Config\nclusters: [{name: holdpoint-prod}, {name: holdpoint-prod}]\n", "stands twice", id="name twice"
    ),
]


@pytest.mark.parametrize(("text", "says"), BROKEN)
def test_a_file_that_cannot_be_merged_stays_as_it_is(
    made: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    assert run(made(), "prod", "--merge", str(file), "--replace") == 1
    assert says in capsys.readouterr().err
    assert file.read_text() == text
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith((".config", "config"))) == ["config"]


def test_a_file_that_kubectl_is_changing_is_left_alone(
    made: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file, lock = tmp_path / "config", tmp_path / "config.lock"
    file.write_text(EXISTING)
    lock.touch()
    assert run(made(), "prod", "--merge", str(file)) == 1
    assert "kubectl is changing it" in capsys.readouterr().err
    assert (file.read_text(), lock.exists()) == (EXISTING, True)


def test_the_authority_of_the_issuer_goes_along(made: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    authority, _ = certificate(tmp_path / "idp")
    settings = made(issuers=CORP + f"    ca_file: {authority}\n")
    assert run(settings, "prod") == 0
    args = shown(capsys.readouterr().out)["users"][0]["user"]["exec"]["args"]
    assert base64.b64decode(args[args.index("--issuer-ca-data") + 1]) == authority.read_bytes()


def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, info: object, *args: str) -> int:
    monkeypatch.setenv("HOLDPOINT_TOKENS", str(tmp_path / "tokens"))
    monkeypatch.setenv("KUBERNETES_EXEC_INFO", info if isinstance(info, str) else json.dumps(info))
    return main(["token", *args])


V1 = "client.authentication.k8s.io/v1"
HERE = ["--issuer-url", "https://idp.example", "--client-id", "c", "--resource", "r"]
ASKED_WRONG = [
    pytest.param("{", HERE, "is not JSON", id="no json"),
    pytest.param({"apiVersion": f"{V1}alpha1", "kind": "ExecCredential"}, HERE, "another kind or version", id="alpha"),
    pytest.param({"apiVersion": V1, "kind": "Pod"}, HERE, "another kind or version", id="another kind"),
    pytest.param("", ["--issuer-url", "http://idp.example"], "must be https", id="issuer over http"),
    pytest.param("", ["--issuer-url", "https://idp.example"], "needs --client-id and --resource", id="no client"),
    pytest.param("", ["--client-id", "c"], "go with --issuer-url", id="client without issuer"),
    pytest.param("", [*HERE, "--algorithm", "HS256"], "must be one of", id="algorithm with a shared key"),
    pytest.param("", [*HERE, "--issuer-ca-data", "%"], "not base64", id="authority that is no base64"),
    pytest.param("", HERE, "nobody is logged in here", id="nobody, in a script"),
    pytest.param(
        {"apiVersion": V1, "kind": "ExecCredential", "spec": {"interactive": False}},
        [*HERE, "--scope", "openid"],
        "run `holdpoint login --issuer-url https://idp.example --client-id c --resource r --scope openid`",
        id="nobody, and nobody is here",
    ),
]


@pytest.mark.parametrize(("info", "args", "says"), ASKED_WRONG)
def test_a_token_that_cannot_be_had_is_said_on_standard_error(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    info: object,
    args: list[str],
    says: str,
) -> None:
    assert token(monkeypatch, tmp_path, info, *args) == 1
    out, err = capfd.readouterr()
    assert says in err
    assert out == ""
