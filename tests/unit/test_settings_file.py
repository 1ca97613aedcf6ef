import shutil
from pathlib import Path

import pytest
from tests.fakes.gateway_yaml import BASE, ENVIRON, write_gateway

from holdpoint.domain.access import Protocol
from holdpoint.domain.refusal import ConfigError
from holdpoint.settings import Address, Credential, Hold, Roles, Rung, SecretSource, Settings, TargetMode
from holdpoint.settings_file import load_settings, resolve_settings_path
from holdpoint.settings_file.schema import SHAPES

ROOT = Path(__file__).parents[2]


def load(folder: Path, *changes: tuple[str, str], check_machine: bool = False) -> Settings:
    return load_settings(write_gateway(folder, *changes), ENVIRON, check_machine=check_machine)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, ("var/holdpoint.sqlite", "../state/./h.sqlite"), ("{folder: var/ca}", "{folder: /ca}"))
    assert settings.store == tmp_path.parent / "state" / "h.sqlite"
    assert settings.keys.ca_folder == Path("/ca")
    assert settings.policies == (tmp_path / "base.yaml",)


def test_cluster_has_a_route_of_its_own_kind(tmp_path: Path) -> None:
    settings = load(tmp_path, ("protocol: http", "protocol: kubernetes"), ("    routes: [/web]\n", ""))
    assert settings.target("web").routes == ("/k8s/web",)


def test_what_is_left_out_has_its_documented_default(tmp_path: Path) -> None:
    settings = load(tmp_path, ("reviewers: {issuers: [corp]}\n", ""))
    files, web = settings.target("files"), settings.target("web")
    assert [listener.url for listener in settings.listeners] == ["http://127.0.0.1:8080", "http://127.0.0.1:8081"]
    assert (files.routes, web.routes) == (("/mcp/files",), ("/web",))
    assert (files.mode, files.hold, files.record_bodies) == (TargetMode.ENFORCE, Hold(), True)
    assert (files.request_bytes, files.response_bytes) == (8 << 20, 32 << 20)
    assert (files.audiences, files.issuers, files.masks, files.lists_ttl) == (frozenset(),) * 2 + (
        (),
        0.0,
    )
    assert files.credentials["main"] == Credential("static", source=SecretSource(env="FILES_TOKEN"))
    assert web.credentials["main"] == Credential("none")
    assert settings.issuer("corp").types == {"at+jwt"}
    assert settings.issuer("corp").login_scopes == ("openid", "email", "profile")
    assert settings.issuer("machines").login_client_id == ""
    assert (settings.reviewers.issuers, settings.reviewers.max_age) == (frozenset(), 43_200.0)
    assert (settings.recordings.idle, settings.recordings.checkpoint) == (900.0, 10.0)
    assert settings.console is not None
    assert (settings.console.url, settings.console.client_secret) == ("http://127.0.0.1:8082", None)


def test_every_optional_key_reaches_the_settings(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        ("    login: {client_id: holdpoint-cli}\n", FULL_ISSUER),
        (
            "    url: https://files.example.com/mcp/\n    credential: {kind: static, from: {env: FILES_TOKEN}}\n",
            FULL_TARGET,
        ),
        ("reviewers: {issuers: [corp]}", f"reviewers: {{issuers: [corp], max_age: 1h, roles: {ROLES}}}"),
        ("{folder: var/recordings}", "{folder: var/recordings, idle: 30m, checkpoint: 5s}"),
        ("  client_id: holdpoint-console\n", FULL_CONSOLE),
    )
    corp, files, console = settings.issuer("corp"), settings.target("files"), settings.console
    assert corp.jwks_url == "https://idp.example.com/keys"
    assert (corp.types, corp.clients) == ({"at+jwt", "jwt"}, {"cli", "agent"})
    assert (corp.claims.person, corp.claims.groups) == ("upn", "realm.roles")
    assert (corp.claims.name, corp.claims.client_id, corp.claims.expose) == ("display", "azp", ("dept",))
    assert corp.workload_subjects == ("svc-*",)
    assert corp.owners == {"svc-*": {"ana@example.com", "bo@example.com"}}
    assert (corp.max_lifetime, corp.stale_for) == (3_600.0, 0.0)
    assert (corp.login_client_id, corp.login_scopes) == ("cli", ("openid", "offline_access"))
    assert corp.ca_file == tmp_path / "idp.pem"
    assert (files.protocol, files.scheme, files.host, files.port) == (Protocol.MCP, "https", "files.example.com", 443)
    assert (files.path, files.routes, files.hosts) == ("/mcp", ("/mcp/files", "/mcp/old-files"), ("files.internal",))
    assert (files.audiences, files.issuers) == ({"https://files"}, {"corp"})
    assert files.scopes == {"openid", "notes:read"}
    assert files.origins == {"https://app.example.com", "http://localhost:3000", "vscode-webview://abc", "null"}
    assert files.mode is TargetMode.OBSERVE
    assert files.credentials["main"] == Credential("static", "X-Api-Key", "", SecretSource(file=tmp_path / "token"))
    assert files.credentials["reader"] == Credential("static", "authorization", "Token ", SecretSource(env="READ"))
    assert (files.request_bytes, files.response_bytes) == (1 << 20, 100 << 10)
    assert (files.record_bodies, files.masks) == (False, ("credentials",))
    assert files.hold == Hold(0.0, 30.0, 0.0, 5.0, 4, frozenset({Rung.EVENTS, Rung.TICKET}))
    assert (files.ca_file, files.lists_ttl) == (tmp_path / "ca.pem", 60.0)
    assert settings.reviewers.max_age == 3_600.0
    assert settings.reviewers.roles == Roles(frozenset({"group:audit", "person:ana@x"}), frozenset({"group:ops"}))
    assert (settings.recordings.idle, settings.recordings.checkpoint) == (1_800.0, 5.0)
    assert console is not None
    assert console.client_secret == SecretSource(env="CONSOLE_SECRET")
    assert console.url == "https://review.example.com"
    assert console.tls is not None


ROLES = '{auditor: ["group:audit", "person:ana@x"], admin: ["group:ops"]}'
FULL_ISSUER = """\
    jwks_url: https://idp.example.com/keys
    types: [at+jwt, application/JWT]
    clients: [cli, agent]
    claims: {person: upn, groups: realm.roles, name: display, client_id: azp, expose: [dept]}
    workloads: {subjects: ["svc-*"], owners: {"svc-*": [ana@example.com, bo@example.com]}}
    max_lifetime: 1h
    stale_for: 0s
    login: {client_id: cli, scopes: [openid, offline_access]}
    ca_file: idp.pem
"""
FULL_TARGET = """\
    url: https://files.example.com/mcp/
    routes: [/mcp/files, /mcp/old-files]
    hosts: [Files.Internal]
    audiences: ["https://files"]
    issuers: [corp]
    scopes: [openid, "notes:read"]
    origins: [https://app.example.com, "http://localhost:3000", vscode-webview://abc, "null"]
    mode: observe
    credential: {kind: static, header: X-Api-Key, from: {file: token}}
    credentials:
      reader: {kind: static, header: authorization, prefix: "Token ", from: {env: READ}}
    ca_file: ca.pem
    limits: {request: 1MiB, response: 100KiB}
    record: {bodies: false}
    hold: {wait: 0s, leg: 30s, grace: 0s, keepalive: 5s, rounds: 4, ladder: [events, ticket]}
    masks: [credentials]
    lists: {ttl: 1m}
"""
FULL_CONSOLE = """\
  client_id: holdpoint-console
  url: https://review.example.com/
  client_secret: {env: CONSOLE_SECRET}
  tls: {certificate: tls.crt, key: tls.key}
"""


@pytest.mark.parametrize(
    ("listen", "address", "shown"),
    [
        pytest.param("[::1]:9000", Address("::1", 9000), "[::1]:9000", id="ipv6"),
        pytest.param("[0:0:0:0:0:0:0:1]:9000", Address("::1", 9000), "[::1]:9000", id="ipv6 written long"),
        pytest.param("localhost:9000", Address("localhost", 9000), "localhost:9000", id="localhost"),
        pytest.param("127.8.8.8:65535", Address("127.8.8.8", 65535), "127.8.8.8:65535", id="all of 127/8, last port"),
    ],
)
def test_loopback_needs_no_tls(tmp_path: Path, listen: str, address: Address, shown: str) -> None:
    listener = load(tmp_path, ("127.0.0.1:8080", listen)).listeners[0]
    assert listener.address == address
    assert str(listener.address) == shown
    assert listener.url == f"http://{shown}"


def test_every_interface_is_open_to_tls_with_a_url(tmp_path: Path) -> None:
    tls = '"*:8443"\n    url: https://gw.example.com:8443/\n    tls: {certificate: c.pem, key: k.pem}'
    listener = load(tmp_path, ('"127.0.0.1:8080"', tls)).listeners[0]
    assert (listener.address, str(listener.address)) == (Address("", 8443), "*:8443")
    assert listener.url == "https://gw.example.com:8443"


def test_http_is_fine_on_loopback_everywhere(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        ("https://idp.example.com/", "http://[::1]:8190/realm"),
        ("https://web.example.com:8443", "http://localhost:9999"),
    )
    assert settings.issuer("corp").url == "http://[::1]:8190/realm"
    assert (settings.target("web").scheme, settings.target("web").path) == ("http", "")


def test_same_upstream_by_two_routes_is_fine_without_a_forward_listener(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        ('  - name: proxy\n    mode: forward\n    listen: "127.0.0.1:8081"\n', ""),
        ("https://web.example.com:8443", "https://files.example.com/api"),
    )
    assert len(settings.targets) == 2


def test_without_the_machine_nothing_is_looked_up(tmp_path: Path) -> None:
    file = write_gateway(tmp_path, ("{env: FILES_TOKEN}", "{file: absent}"))
    assert load_settings(file, {}, check_machine=False).target("files").credentials["main"].source is not None


def test_option_wins_over_the_environment(tmp_path: Path) -> None:
    assert resolve_settings_path(str(tmp_path / "a.yaml"), {"HOLDPOINT_CONFIG": "b.yaml"}) == tmp_path / "a.yaml"
    assert resolve_settings_path("", {"HOLDPOINT_CONFIG": "b.yaml"}) == Path.cwd() / "b.yaml"


@pytest.mark.parametrize("environ", [{}, {"HOLDPOINT_CONFIG": ""}], ids=["unset", "empty"])
def test_without_option_and_environment_both_are_named(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"`HOLDPOINT_CONFIG`.*--config FILE.*--set holdpoint_config=FILE"):
        resolve_settings_path("", environ)


def test_committed_example_is_right(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    settings = load_settings(tmp_path / "policies" / "gateway.yaml", {"HOLDPOINT_DEMO_TOKEN": "demo"})
    assert [str(listener.address) for listener in settings.listeners] == ["127.0.0.1:8180", "127.0.0.1:8181"]
    assert settings.target("demo").routes == ("/mcp/demo",)
    assert settings.console is not None


def test_every_key_is_in_the_reference() -> None:
    reference = (ROOT / "docs" / "reference" / "gateway.md").read_text(encoding="utf-8")
    missing = sorted({key for shape in SHAPES for key in shape.keys() if f"| `{key}` |" not in reference})  # noqa: SIM118
    assert missing == []


def test_reference_names_no_key_that_does_not_exist() -> None:
    reference = (ROOT / "docs" / "reference" / "gateway.md").read_text(encoding="utf-8")
    documented = {line.split("`")[1] for line in reference.splitlines() if line.startswith("| `")}
    known = {key for shape in SHAPES for key in shape.keys()}  # noqa: SIM118
    assert documented - known - {"targets[].credentials.<name>", "issuers[].workloads.owners.<glob>"} == set()


def test_base_of_these_tests_is_right_on_this_machine_too(tmp_path: Path) -> None:
    file = write_gateway(tmp_path, base=BASE.replace("      - {id: audit-1, file: var/keys/audit-1.pub}\n", ""))
    assert load_settings(file, ENVIRON).file == file
