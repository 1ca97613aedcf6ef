"""As whom requests arrive at the cluster: kubectl through the gateway, with its own identity, and with `--as`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.kube_identity import GATEWAY_TOKEN, User
from tests.fakes.kube_world import ALL, KubeWorld

pytestmark = pytest.mark.e2e

AS = """\
  - name: as-bob-of-dev
    effect: allow
    match: {verbs: [impersonate], resources: [users], names: [bob]}
  - name: as-group-dev
    effect: allow
    match: {verbs: [impersonate], resources: [groups], names: [dev, "system:masters"]}
  - name: as-the-deployer
    effect: allow
    match: {verbs: [impersonate], resources: [serviceaccounts], namespaces: [shop], names: [deployer]}
"""
CREDENTIAL = """{kind: impersonate, token_file: own-token, groups: {prefix: "corp:", allow: [dev, sre]}}"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeWorld]:
    world = KubeWorld(tmp_path_factory.mktemp("upstream"), rules=ALL + AS, credential=CREDENTIAL)
    (world.policies / "own-token").write_text(GATEWAY_TOKEN)
    with world:
        world.start()
        yield world


def seen(world: KubeWorld) -> User:
    user = [r.user for r in world.cluster.requests if r.path.endswith("/pods")][-1]
    assert user is not None
    return user


def test_kubectl_arrives_as_the_person_with_the_groups_that_may(world: KubeWorld) -> None:
    ran = world.kubectl("get", "pods", config=world.route(world.token(groups=["dev", "hr", "system:masters"])))
    assert ran.status == 0, ran.text
    user = seen(world)
    assert (user.name, user.behind) == ("alice@corp.example", "gateway")
    assert set(user.groups) == {"corp:dev", "system:authenticated"}
    assert user.extra["holdpoint-principal"] == [f"{world.issuer.url}#u-alice"]


@pytest.mark.threat("T55")
def test_kubectl_as_somebody_arrives_as_what_policy_let_it_ask_for(world: KubeWorld) -> None:
    ran = world.kubectl("get", "pods", "--as", "bob", "--as-group", "dev")
    assert ran.status == 0, ran.text
    user = seen(world)
    assert user.name == "bob"
    assert set(user.groups) == {"dev", "system:authenticated"}
    assert user.extra["holdpoint-principal"] == [f"{world.issuer.url}#u-alice"]


def test_kubectl_as_a_service_account_arrives_as_it(world: KubeWorld) -> None:
    ran = world.kubectl("get", "pods", "--as", "system:serviceaccount:shop:deployer")
    assert ran.status == 0, ran.text
    assert seen(world).name == "system:serviceaccount:shop:deployer"


@pytest.mark.threat("T55")
@pytest.mark.parametrize(
    "more",
    [
        pytest.param(["--as", "eve"], id="another user"),
        pytest.param(["--as", "bob", "--as-group", "ops"], id="another group"),
        pytest.param(["--as", "bob", "--as-group", "system:masters"], id="masters, which the settings do not name"),
        pytest.param(["--as", "bob", "--as-uid", "1"], id="a uid"),
        pytest.param(["--as", "bob", "--as-user-extra", "a=b"], id="an extra"),
        pytest.param(["--as", "system:serviceaccount:kube-system:deployer"], id="account of another namespace"),
        pytest.param(["--as-group", "dev"], id="group alone"),
    ],
)
def test_kubectl_as_what_no_rule_allows_never_arrives(world: KubeWorld, more: list[str]) -> None:
    before = len([r for r in world.cluster.requests if r.path.endswith("/pods")])
    ran = world.kubectl("get", "pods", *more)
    assert ran.status != 0
    assert len([r for r in world.cluster.requests if r.path.endswith("/pods")]) == before


@pytest.mark.failure("F-token-file")
def test_a_token_that_was_replaced_is_used_and_a_refused_one_asks_nobody_to_log_in(tmp_path: Path) -> None:
    world = KubeWorld(tmp_path, credential="{kind: service-account, token_file: own-token}")
    file = world.policies / "own-token"
    file.write_text("old-token-of-the-gateway")
    users = world.cluster.identities.users
    users["old-token-of-the-gateway"] = replace(users[GATEWAY_TOKEN], name="old")
    with world:
        world.start()
        assert world.kubectl("get", "pods").status == 0
        assert seen(world).name == "old"
        world.cluster.faults.refused_tokens.add("old-token-of-the-gateway")
        with world.client() as client:
            answer = client.get("/api/v1/namespaces/default/pods")
        assert answer.status_code == 502
        assert answer.json()["kind"] == "Status"
        assert "www-authenticate" not in answer.headers
        ran = world.kubectl("get", "pods")
        assert "logged in" not in ran.text
        assert "the gateway's credential" in ran.text
        fresh = file.with_name("fresh")
        fresh.write_text(GATEWAY_TOKEN)
        fresh.replace(file)
        assert world.kubectl("get", "pods").status == 0
        assert seen(world).name == "gateway"


def test_a_terminal_is_opened_as_the_person_and_as_whom_policy_let_it(world: KubeWorld) -> None:
    world.kubectl("run", "web", "--image=nginx")
    for more, name in (([], "alice@corp.example"), (["--as", "bob"], "bob")):
        ran = world.kubectl("exec", "web", *more, "--", "echo", "hello")
        assert ran.out == "hello\n", ran.text
        opened = [r for r in world.cluster.requests if r.path.endswith("/web/exec")][-1]
        assert opened.user is not None
        assert (opened.user.name, opened.user.behind) == (name, "gateway")
