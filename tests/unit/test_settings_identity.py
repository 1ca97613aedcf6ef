"""Settings of who calls and as whom a request goes on: credentials, keys of calls, clusters as issuers, `unlinked`."""

from pathlib import Path

import pytest
from tests.fakes.gateway_yaml import ENVIRON, write_gateway

from holdpoint.domain.refusal import ConfigError
from holdpoint.keys import open_call_keys
from holdpoint.settings import (
    Credential,
    Fact,
    GroupsAs,
    ImpersonateAs,
    PerCall,
    SecretSource,
    Settings,
    TokenReview,
    Unlinked,
)
from holdpoint.settings_file import load_settings

FILES = "credential: {kind: static, from: {env: FILES_TOKEN}}"
WEB = "    credential: {kind: none}"
DIGEST = "  digest: {file: var/keys/digest.key}"
CALLS = (DIGEST, f"{DIGEST}\n  calls: {{active: c1, ring: [{{id: c1, file: var/keys/c1.pem, create: true}}]}}")
CLUSTERS = (
    "policies: [base.yaml]",
    """\
  - {name: prod, protocol: kubernetes, url: "https://k8s.example.com", routes: [/k8s/prod], credential: {kind: none}}
  - {name: lab, protocol: kubernetes, url: "https://lab.example.com", routes: [/k8s/lab], credential: {kind: none}}
policies: [base.yaml]""",
)
PER_CALL = (FILES, "credential: {kind: per-call, for: [prod]}")
MACHINES = """\
  - name: machines
    url: https://machines.example.com
    algorithms: [ES256, EdDSA]
    audiences: ["https://gateway.example.com"]
"""


def read(folder: Path, *changes: tuple[str, str]) -> Settings:
    return load_settings(write_gateway(folder, *changes), ENVIRON, check_machine=False)


def credential(folder: Path, text: str) -> Credential:
    changed = (CLUSTERS[0], CLUSTERS[1].replace("{kind: none}", text, 1))
    return read(folder, changed).target("prod").credentials["main"]


def test_a_service_account_is_where_a_pod_finds_its_own(tmp_path: Path) -> None:
    found = credential(tmp_path, "{kind: service-account}")
    assert found == Credential(
        "service-account", token_file=Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
    )
    assert credential(tmp_path, "{kind: service-account, token_file: sa/token}").token_file == tmp_path / "sa" / "token"


def test_the_authority_beside_a_token_is_that_of_its_cluster(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("pem")
    changed = (CLUSTERS[0], CLUSTERS[1].replace("{kind: none}", "{kind: service-account, token_file: token}", 1))
    found = read(tmp_path, changed)
    assert found.target("prod").ca_file == tmp_path / "ca.crt"
    assert found.target("lab").ca_file is None


def test_an_impersonator_says_whom_the_cluster_is_told(tmp_path: Path) -> None:
    text = (
        "{kind: impersonate, from: {env: OWN}, user: subject, user_prefix: 'idp:', users: {u-1: 'system:admin'}, "
        "groups: {prefix: 'idp:', allow: ['dev-*'], add: [seen], map: {ops: 'system:masters'}}, uid: subject, "
        "extra: [principal, call]}"
    )
    assert credential(tmp_path, text) == Credential(
        "impersonate",
        source=SecretSource(env="OWN"),
        impersonate=ImpersonateAs(
            user="subject",
            prefix="idp:",
            users={"u-1": "system:admin"},
            groups=GroupsAs("idp:", ("dev-*",), ("seen",), {"ops": "system:masters"}),
            uid="subject",
            extra=frozenset({Fact.PRINCIPAL, Fact.CALL}),
        ),
    )
    usual = credential(tmp_path, "{kind: impersonate}")
    assert usual.impersonate == ImpersonateAs()
    assert usual.token_file is not None


def test_calls_get_tokens_for_clusters_that_take_nothing_else_from_then_on(tmp_path: Path) -> None:
    found = read(tmp_path, CALLS, CLUSTERS, PER_CALL)
    assert found.target("files").credentials["main"].per_call == PerCall(
        frozenset({"prod"}), 120.0, frozenset({"tools/call"})
    )
    assert found.target("prod").unlinked is Unlinked.DENY
    assert found.target("lab").unlinked is Unlinked.POLICY
    assert found.keys.calls_active == "c1"


def test_what_comes_without_a_token_is_said_by_the_target(tmp_path: Path) -> None:
    clusters = (
        CLUSTERS[0],
        CLUSTERS[1].replace("credential: {kind: none}", "unlinked: humans, credential: {kind: none}", 1),
    )
    assert read(tmp_path, CALLS, clusters, PER_CALL).target("prod").unlinked is Unlinked.HUMANS


def test_the_key_of_calls_is_made_at_first_start_and_is_not_that_of_the_audit(tmp_path: Path) -> None:
    found = read(tmp_path, CALLS)
    opened = open_call_keys(found.keys)
    assert opened is not None
    assert opened.signer.key_id == "c1"
    assert (tmp_path / "var" / "keys" / "c1.pem").stat().st_mode & 0o777 == 0o600
    again = open_call_keys(found.keys)
    assert again is not None
    assert again.signer.public == opened.signer.public
    assert open_call_keys(read(tmp_path).keys) is None


def test_a_cluster_is_an_issuer_of_workloads(tmp_path: Path) -> None:
    cluster = """\
  - name: machines
    kind: kubernetes
    url: https://machines.example.com
    audiences: [holdpoint]
    jwks_url: https://machines.example.com/openid/v1/jwks
    token_file: sa/token
    workloads: {subjects: ["system:serviceaccount:agents:*"]}
    token_review: {server: "https://machines.example.com", token_file: sa/token, every: 20s}
"""
    found = read(tmp_path, (MACHINES, cluster)).issuer("machines")
    assert found.kind == "kubernetes"
    assert found.algorithms == {"RS256"}
    assert found.types == {"jwt"}
    assert found.claims.expose == ("kubernetes.io",)
    assert found.token_file == tmp_path / "sa" / "token"
    assert found.token_review == TokenReview(
        "https://machines.example.com", token_file=tmp_path / "sa" / "token", every=20.0
    )


@pytest.mark.parametrize(
    ("changes", "broken", "message"),
    [
        pytest.param((CLUSTERS,), (FILES, PER_CALL[1]), "add `calls` under `keys`", id="no key"),
        pytest.param(
            (CALLS, CLUSTERS), (FILES, "credential: {kind: per-call, for: [other]}"), "`other` is no", id="no target"
        ),
        pytest.param(
            (CALLS, CLUSTERS), (FILES, "credential: {kind: per-call, for: [web]}"), "`web` is no", id="no cluster"
        ),
        pytest.param(
            (CALLS, CLUSTERS), (WEB, "    credential: {kind: per-call, for: [prod]}"), "for MCP targets", id="not mcp"
        ),
        pytest.param((), (WEB, "    credential: {kind: impersonate, from: {env: A}}"), "Kubernetes targets", id="http"),
        pytest.param((), (FILES, "credential: {kind: service-account}"), "Kubernetes targets", id="mcp"),
        pytest.param((), (WEB, f"{WEB}\n    unlinked: deny"), "only requests to a Kubernetes target", id="unlinked"),
        pytest.param(
            (),
            (CLUSTERS[0], CLUSTERS[1].replace("{kind: none}", "{kind: impersonate, user_prefix: 'system:'}", 1)),
            "the API server's own",
            id="system prefix",
        ),
        pytest.param(
            (),
            (
                CLUSTERS[0],
                CLUSTERS[1].replace("{kind: none}", "{kind: impersonate, from: {env: A}, token_file: b}", 1),
            ),
            "comes from one place",
            id="two tokens",
        ),
        pytest.param(
            (),
            (CLUSTERS[0], CLUSTERS[1].replace("{kind: none}", "{kind: impersonate, users: {a: 'é'}}", 1)),
            "printable ASCII",
            id="not ascii",
        ),
        pytest.param(
            (CALLS, CLUSTERS),
            (FILES, "credential: {kind: per-call, for: [prod], lifetime: 11m}"),
            "from 5s to 10m",
            id="too long",
        ),
        pytest.param(
            (),
            (DIGEST, f"{DIGEST}\n  calls: {{active: a, ring: [{{id: a, file: var/keys/audit-2.pem}}]}}"),
            "a key of their own",
            id="the audit's key",
        ),
        pytest.param(
            (),
            (MACHINES, MACHINES.replace("    algor", "    kind: kubernetes\n    login: {client_id: x}\n    algor")),
            "login",
            id="login at a cluster",
        ),
        pytest.param(
            (),
            (MACHINES, MACHINES.replace("    algor", "    jwks_file: a\n    algor")),
            "jwks_file",
            id="file of a provider's keys",
        ),
        pytest.param(
            (),
            (
                MACHINES,
                MACHINES.replace(
                    "    algor",
                    "    kind: kubernetes\n    token_review: {server: 'https://a.test', every: 2m}\n    algor",
                ),
            ),
            "from 10s to 1m",
            id="believed for too long",
        ),
        pytest.param((), (WEB, "    credential: {kind: eks}"), "not in this version", id="eks"),
    ],
)
def test_what_could_not_be_safe_is_refused(
    tmp_path: Path, changes: tuple[tuple[str, str], ...], broken: tuple[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, *changes, broken)
