"""kubectl learns the truth about what it may do, under the rules that are shipped for clusters."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.kube_world import KubeWorld

pytestmark = pytest.mark.e2e

FILES = "kubernetes/guardrails.yaml, kubernetes/developers.yaml, masks/kubernetes-secrets.yaml"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeWorld]:
    with KubeWorld(Path(tmp_path_factory.mktemp("can-i"))) as world:
        world.write_settings(**{"policies: [cluster.yaml,": f"policies: [{FILES},"})
        for file in (world.policies / "kubernetes").glob("*.yaml"):
            file.write_text(file.read_text().replace("[cluster-example]", "[cluster]"))
        world.start()
        yield world


@pytest.fixture
def developer(world: KubeWorld) -> Path:
    return world.route(world.token("u-dev", email="dev@corp.example", groups=["developers"]), "developer")


@pytest.mark.threat("T42")
@pytest.mark.parametrize(
    ("asked", "said", "warned"),
    [
        pytest.param("create deployments -n dev-web", "yes", "", id="allowed"),
        pytest.param("patch deployments.apps -n prod-web", "yes", "allowed after approval", id="held"),
        pytest.param(
            "get secrets -n dev-web",
            "no - denied by holdpoint: kubernetes-developers/no-secrets, kubernetes-guardrails/no-secrets: "
            "secrets come from the secret store",
            "",
            id="denied by a rule",
        ),
        pytest.param("get pods --subresource=attach -n dev-web", "no - denied by holdpoint: no rule", "", id="no rule"),
        pytest.param("create pods --subresource=exec -n dev-web", "yes", "", id="exec"),
        pytest.param("get /version", "yes", "", id="path"),
        pytest.param("get /metrics", "no - denied by holdpoint: no rule", "", id="another path"),
        pytest.param("* *", "no - denied by holdpoint", "", id="everything"),
    ],
)
def test_may_i_is_answered_for_the_gateway_too(world, developer, asked, said, warned):
    direct = world.kubectl("auth", "can-i", *asked.split(), config=world.direct)
    assert direct.out.strip() == "yes", direct.text
    ran = world.kubectl("auth", "can-i", *asked.split(), config=developer)
    assert ran.out.strip().startswith(said), ran.text
    assert (ran.status == 0) is (said == "yes")
    assert (warned in ran.err) if warned else ("holdpoint" not in ran.err), ran.text


@pytest.mark.threat("T42")
def test_list_of_rights_is_what_policy_could_permit(world, developer):
    ran = world.kubectl("auth", "can-i", "--list", "-n", "dev-web", config=developer)
    lines = {line.split()[0]: line for line in ran.out.splitlines()[1:] if line.strip()}
    assert "incomplete" in ran.err, ran.text
    assert lines["pods"].endswith("[get list watch create update patch delete]"), ran.text
    assert lines["secrets"].endswith("[create patch delete]"), ran.text
    assert "serviceaccounts/token" not in lines
    assert "*.*" not in lines


def test_who_one_is_says_the_upstream(world, developer):
    through, direct = (world.kubectl("auth", "whoami", config=c) for c in (developer, world.direct))
    assert (through.status, direct.status) == (0, 0), through.text
    assert "Username" in through.out


def test_shipped_rules_let_kubectl_work(world, developer):
    assert world.kubectl("create", "namespace", "dev-web", config=world.direct).status == 0
    made = world.kubectl("create", "deployment", "web", "--image=x", "-n", "dev-web", config=developer)
    assert made.status == 0, made.text
    seen = world.kubectl("get", "deployments", "-n", "dev-web", config=developer)
    assert "web" in seen.out, seen.text
    none = world.kubectl("get", "secrets", "-A", config=developer)
    assert "secrets come from the secret store" in none.err, none.text
    assert none.status != 0
    token = world.kubectl("create", "token", "default", "-n", "dev-web", config=developer)
    assert "tokens of service accounts are given to pods" in token.err, token.text
