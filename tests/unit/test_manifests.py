"""The manifests under docs/manifests say what they must, fit together, and hold settings that the gateway takes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.fakes.protobuf_bodies import encode

from holdpoint.cli import main
from holdpoint.cli.kubeconfig import TOKEN_FILE
from holdpoint.domain.access import Protocol
from holdpoint.identity.login import where_to_log_in
from holdpoint.protocols.kubernetes import field_tables
from holdpoint.settings_file import load_settings

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "docs" / "manifests").glob("*.yaml"))
PRIVATE = "authorization|token|password|secret|client-key|auth-provider|exec"

type Object = dict[str, Any]


def load(file: Path) -> list[Object]:
    return list(YAML(typ="safe").load_all(file))


OBJECTS = [pytest.param(made, id=f"{made['kind']}/{made['metadata']['name']}") for f in FILES for made in load(f)]
ALL: list[Object] = [made for file in FILES for made in load(file)]


def named(kind: str, name: str, namespace: str = "") -> Object:
    [found] = [
        made
        for made in ALL
        if (made["kind"], made["metadata"]["name"], made["metadata"].get("namespace", "")) == (kind, name, namespace)
    ]
    return found


def workloads() -> Iterator[Object]:
    return (made for made in ALL if made["kind"] in {"Deployment", "StatefulSet"})


def containers(pod: Object) -> list[Object]:
    return [*pod.get("initContainers", []), *pod["containers"]]


WORKLOADS = [pytest.param(made, id=made["metadata"]["name"]) for made in workloads()]


def unknown(shape: field_tables.Shape, made: Any, path: str) -> list[str]:
    """Fields that the API does not have."""
    if not isinstance(made, dict):
        return [] if shape.is_list else [f"{path} is no object"]
    fields: dict[str, field_tables.Field] = {}
    for each in shape.fields:
        inner = each.shape.fields if each.form is field_tables.Form.INLINE and each.shape else [each]
        fields |= {field.name: field for field in inner}
    found = [f"{path}.{name}" for name in made.keys() - fields.keys()]
    for name, value in made.items():
        inside = fields[name].shape if name in fields else None
        if inside is not None and fields[name].form is not field_tables.Form.MAP:
            for place, item in enumerate(value if isinstance(value, list) else [value]):
                found += unknown(inside, item, f"{path}.{name}[{place}]")
    return found


@pytest.mark.parametrize("made", OBJECTS)
def test_every_object_is_of_a_kind_of_the_api_and_has_only_its_fields(made: Object) -> None:
    shape = field_tables.find(made["apiVersion"], made["kind"])
    assert shape is not None
    assert re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", made["metadata"]["name"])
    assert unknown(shape, {k: v for k, v in made.items() if k not in {"apiVersion", "kind"}}, made["kind"]) == []
    assert encode(made)


def test_every_namespace_is_there_and_asks_for_restricted_pods() -> None:
    spaces = {made["metadata"]["name"]: made for made in ALL if made["kind"] == "Namespace"}
    assert {made["metadata"].get("namespace", "holdpoint") for made in ALL} <= spaces.keys()
    for made in spaces.values():
        assert made["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("made", WORKLOADS)
def test_pods_are_restricted_and_their_images_have_versions(made: Object) -> None:
    pod = made["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert not any("hostPath" in volume for volume in pod["volumes"])
    for container in containers(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert re.fullmatch(r"[\w.-]+(/[\w.-]+)+(:\d+\.\d+\.\d+|@sha256:[0-9a-f]{64})", container["image"])
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("file", sorted((ROOT / "docs" / "manifests").glob("Containerfile.*")), ids=lambda f: f.suffix)
def test_images_are_built_from_pinned_versions_and_run_as_nobody_s_root(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert re.search(r"^FROM \S+:\d+\.\d+\.\d+-\S+$", text, re.MULTILINE)
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.MULTILINE)


@pytest.mark.parametrize("made", WORKLOADS)
def test_what_a_pod_mounts_is_a_volume_of_its_own(made: Object) -> None:
    pod = made["spec"]["template"]["spec"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in made["spec"].get("volumeClaimTemplates", [])}
    mounted = {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]}
    assert mounted == volumes


@pytest.mark.parametrize("made", WORKLOADS)
def test_selectors_fit_labels_and_services_fit_ports(made: Object) -> None:
    template = made["spec"]["template"]
    labels, space = template["metadata"]["labels"], made["metadata"]["namespace"]
    assert made["spec"]["selector"]["matchLabels"] == labels
    ports = {port["name"] for container in containers(template["spec"]) for port in container.get("ports", [])}
    for service in (s for s in ALL if s["kind"] == "Service" and s["metadata"]["namespace"] == space):
        assert service["spec"]["selector"] == labels
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def closed(space: str) -> bool:
    """Whether pods of the namespace can neither be reached nor reach anything unless another policy says so."""
    made = named("NetworkPolicy", "nothing-by-default", space)
    return bool(made["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})


def selected(peer: Object) -> set[str]:
    """Names of the workloads that a peer of a network policy names."""
    space = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    wanted = peer.get("podSelector", {}).get("matchLabels", {})
    return {
        made["metadata"]["name"]
        for made in workloads()
        if made["metadata"]["namespace"] == space
        and wanted.items() <= made["spec"]["template"]["metadata"]["labels"].items()
    }


def test_the_mcp_server_reaches_the_gateway_and_dns_alone_and_only_the_gateway_reaches_it() -> None:
    assert closed("mcp")
    spec = named("NetworkPolicy", "kubernetes-mcp-server", "mcp")["spec"]
    assert spec["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "kubernetes-mcp-server"}
    assert [selected(peer) for rule in spec["ingress"] for peer in rule["from"]] == [{"holdpoint"}]
    to_gateway, to_dns = spec["egress"]
    assert [selected(peer) for peer in to_gateway["to"]] == [{"holdpoint"}]
    assert to_gateway["ports"] == [{"protocol": "TCP", "port": 8443}]
    assert {port["port"] for port in to_dns["ports"]} == {53}
    assert all("ipBlock" not in peer for rule in spec["egress"] for peer in rule["to"])


def test_the_gateway_s_network_rules_name_pods_that_are_there() -> None:
    assert closed("holdpoint")
    spec = named("NetworkPolicy", "gateway", "holdpoint")["spec"]
    assert spec["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "holdpoint"}
    assert [selected(peer) for rule in spec["ingress"] for peer in rule["from"]] == [
        {"kubernetes-mcp-server"},
        {"agent"},
    ]
    assert {"kubernetes-mcp-server"} in [
        selected(peer) for rule in spec["egress"] for peer in rule["to"] if "ipBlock" not in peer
    ]
    [outside] = [peer["ipBlock"] for rule in spec["egress"] for peer in rule["to"] if "ipBlock" in peer]
    assert "169.254.0.0/16" in outside["except"]


def test_the_mcp_server_has_no_credential() -> None:
    account = named("ServiceAccount", "kubernetes-mcp-server", "mcp")
    pod = named("Deployment", "kubernetes-mcp-server", "mcp")["spec"]["template"]["spec"]
    assert account["automountServiceAccountToken"] is pod["automountServiceAccountToken"] is False
    assert not any("projected" in volume for volume in pod["volumes"])
    config = YAML(typ="safe").load(named("ConfigMap", "kubernetes-mcp-server", "mcp")["data"]["kubeconfig"])
    assert [user["user"] for user in config["users"]] == [{}]
    assert not re.search(PRIVATE, str(config["users"]).lower())
    [cluster] = config["clusters"]
    assert cluster["cluster"]["server"] == "https://holdpoint.holdpoint.svc:8443/k8s/prod"
    subjects = [s for made in ALL if made["kind"].endswith("Binding") for s in made["subjects"]]
    assert all(subject.get("namespace") != "mcp" for subject in subjects)


def test_the_gateway_may_be_only_the_groups_that_are_named() -> None:
    rules = named("ClusterRole", "holdpoint-impersonates")["rules"]
    by_resource = {resource: rule for rule in rules for resource in rule["resources"]}
    assert all(rule["verbs"] == ["impersonate"] for rule in rules)
    assert by_resource["groups"]["resourceNames"] == ["corp:developers", "corp:platform"]
    assert {r for r in by_resource if r not in {"users", "groups"}} == {
        f"userextras/holdpoint-{name}" for name in ("principal", "actor", "exchange", "approval", "call")
    }


def test_the_agent_s_token_is_for_the_gateway_alone() -> None:
    pod = named("Deployment", "agent", "agents")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    [volume] = [volume["projected"] for volume in pod["volumes"] if "projected" in volume]
    [source] = volume["sources"]
    [mount] = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "token"]
    token = source["serviceAccountToken"]
    assert f"{mount['mountPath']}/{token['path']}" == TOKEN_FILE
    settings = YAML(typ="safe").load(named("ConfigMap", "holdpoint-settings", "holdpoint")["data"]["gateway.yaml"])
    [ops] = [target for target in settings["targets"] if target["name"] == "ops"]
    assert [token["audience"]] == ops["audiences"]


def test_the_gateway_takes_the_settings_and_the_policies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Mounted as the kubelet does it: links to files in a folder that is swapped as a whole."""
    data = named("ConfigMap", "holdpoint-settings", "holdpoint")["data"]
    (tmp_path / "..data").mkdir()
    for name, text in data.items():
        (tmp_path / "..data" / name).write_text(text.replace("/etc/holdpoint-masks", str(ROOT / "policies" / "masks")))
        (tmp_path / name).symlink_to(f"..data/{name}")
    settings = load_settings(tmp_path / "gateway.yaml", {}, check_machine=False)
    assert {t.name: t.protocol for t in settings.targets} == {"prod": Protocol.KUBERNETES, "ops": Protocol.MCP}
    assert main(["--config", str(tmp_path / "gateway.yaml"), "policy", "check"]) == 0, capsys.readouterr()
    own = [(t.name, t.audiences) for t in settings.targets]
    assert settings.cautions == ()
    assert own == [
        ("prod", frozenset({"https://holdpoint.holdpoint.svc:8443/k8s/prod"})),
        ("ops", frozenset({"https://holdpoint.holdpoint.svc:8443/mcp/ops"})),
    ]
    for name, [audience] in own:
        assert where_to_log_in(settings, name)[1] == audience


def test_the_gateway_s_keys_lie_on_its_volume_and_stay_private() -> None:
    made = named("StatefulSet", "holdpoint", "holdpoint")
    pod = made["spec"]["template"]["spec"]
    assert made["spec"]["replicas"] == 1
    # The kubelet would give the group the right to read them, and the gateway would refuse them.
    assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    settings = named("ConfigMap", "holdpoint-settings", "holdpoint")["data"]["gateway.yaml"]
    for path in re.findall(r"(?<=[ :])(/(?:var/lib|run|etc)/[\w./-]+)", settings):
        assert any(path.startswith(f"{mount}/") for mount in mounts), path
