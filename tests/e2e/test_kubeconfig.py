"""kubectl, the kubeconfig that `holdpoint kubeconfig` writes, and `holdpoint token` as its credential plugin."""

import json
import selectors
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tests.fakes.kube_world import KubeWorld, Ran, find_kubectl, kubectls
from tests.fakes.person import AtTerminal, command_line, log_in

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeWorld]:
    with KubeWorld(tmp_path_factory.mktemp("kubeconfig")) as world:
        world.start()
        yield world


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """A folder for tokens of this test alone."""
    return tmp_path / "tokens"


def run(world: KubeWorld, *args: str, **env: str) -> Ran:
    program = command_line(world.folder)
    done = subprocess.run(
        [program, "--config", world.settings_file, *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**world.environment(world.folder / "none"), **env},
    )
    return Ran(args, done.stdout, done.stderr, done.returncode)


def written(world: KubeWorld, *more: str) -> Path:
    file = world.folder / f"made-{time.monotonic_ns()}"
    args = ["kubeconfig", "cluster", "--no-browser", "--program", str(command_line(world.folder))]
    made = run(world, *args, "--output", str(file), *more)
    assert made.status == 0, made.text
    assert file.stat().st_mode & 0o777 == 0o600
    return file


def exec_info(*, interactive: bool, version: str = "v1") -> str:
    return json.dumps(
        {
            "apiVersion": f"client.authentication.k8s.io/{version}",
            "kind": "ExecCredential",
            "spec": {"interactive": interactive},
        }
    )


def plugin(config: Path) -> list[str]:
    """The command that the kubeconfig names."""
    [user] = YAML(typ="safe").load(config)["users"]
    return [user["user"]["exec"]["command"], *user["user"]["exec"]["args"]]


def at_terminal(world: KubeWorld, command: list[str], config: Path, tokens: Path, **env: str) -> AtTerminal:
    more = {"HOLDPOINT_TOKENS": str(tokens), **env}
    return AtTerminal(command, world.environment(config, **more), world.folder)


def logged_in(world: KubeWorld, config: Path, tokens: Path) -> None:
    info = exec_info(interactive=True)
    with at_terminal(world, plugin(config), config, tokens, KUBERNETES_EXEC_INFO=info) as asked:
        log_in(asked.says("log in at"))
        assert asked.ends()[0] == 0


@pytest.mark.parametrize("kubectl", kubectls(), ids=lambda path: Path(path).parent.name)
@pytest.mark.parametrize("form", [[], ["--proxy"]], ids=["reverse route", "forward listener"])
def test_kubectl_at_a_terminal_logs_in_and_goes_on(
    world: KubeWorld, tokens: Path, kubectl: str, form: list[str]
) -> None:
    config = written(world, *form)
    with at_terminal(world, [kubectl, "get", "namespaces", "-o", "name"], config, tokens) as first:
        log_in(first.says("log in at"))
        status, out, err = first.ends()
    assert (status, "namespace/default" in out) == (0, True), err
    again = world.kubectl(
        "auth", "whoami", "-o", "name", config=config, program=kubectl, env={"HOLDPOINT_TOKENS": str(tokens)}
    )
    assert again.status == 0, again.text


def test_kubectl_without_a_terminal_says_which_command_logs_in(world: KubeWorld, tokens: Path) -> None:
    ran = world.kubectl("get", "ns", config=written(world), env={"HOLDPOINT_TOKENS": str(tokens)})
    assert ran.status == 1
    assert f"holdpoint login --issuer-url {world.issuer.url} --client-id holdpoint-cli" in ran.err


def test_commands_at_once_log_in_once(world: KubeWorld, tokens: Path) -> None:
    config = written(world)
    info = exec_info(interactive=True)
    asked = [at_terminal(world, plugin(config), config, tokens, KUBERNETES_EXEC_INFO=info) for _ in range(4)]
    before = world.issuer.requests.count("/token")
    try:
        # Whoever took the lock speaks, and nobody else does.
        with selectors.DefaultSelector() as ready:
            for each in asked:
                assert each.process.stderr is not None
                ready.register(each.process.stderr, selectors.EVENT_READ, each)
            [(key, _), *_] = ready.select(timeout=60)
        log_in(key.data.says("log in at"))
        ended = [each.ends() for each in asked]
    finally:
        for each in asked:
            each.__exit__()
    credentials = [json.loads(out) for _, out, _ in ended]
    assert [err for _, _, err in ended] == [""] * 4
    assert len({made["status"]["token"] for made in credentials}) == 1
    assert world.issuer.requests.count("/token") == before + 1


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_credential_is_of_the_version_that_was_asked_for(world: KubeWorld, tokens: Path, version: str) -> None:
    config = written(world)
    logged_in(world, config, tokens)
    info = exec_info(interactive=False, version=version)
    done = subprocess.run(
        plugin(config),
        capture_output=True,
        check=True,
        timeout=60,
        env=world.environment(config, HOLDPOINT_TOKENS=str(tokens), KUBERNETES_EXEC_INFO=info),
    )
    made = json.loads(done.stdout)
    assert made["apiVersion"] == f"client.authentication.k8s.io/{version}"
    assert made["kind"] == "ExecCredential"
    assert made["status"]["token"].count(".") == 2
    assert made["status"]["expirationTimestamp"].endswith("Z")


def test_what_a_browser_prints_is_not_taken_for_the_token(world: KubeWorld, tokens: Path, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\necho opened in a new window\n")
    browser.chmod(0o755)
    config = written(world)
    command = [part for part in plugin(config) if part != "--no-browser"]
    env = {"KUBERNETES_EXEC_INFO": exec_info(interactive=True), "BROWSER": f"{browser} %s"}
    with at_terminal(world, command, config, tokens, **env) as asked:
        line = asked.says("log in at")
        asked.says("opened in a new window")
        log_in(line)
        status, out, _ = asked.ends()
    assert status == 0
    assert json.loads(out)["kind"] == "ExecCredential"


def test_a_login_by_code_needs_no_browser_here(world: KubeWorld, tokens: Path) -> None:
    config = written(world, "--device")
    with at_terminal(world, [find_kubectl(), "get", "ns", "-o", "name"], config, tokens) as first:
        line = first.says("with the code")
        log_in(line, user_code=line.split()[-1])
        status, out, err = first.ends()
    assert (status, "namespace/default" in out) == (0, True), err


def test_a_pod_uses_the_token_that_is_mounted(world: KubeWorld, tmp_path: Path) -> None:
    mounted = tmp_path / "token"
    mounted.write_text(world.token(sub="agent-1"))
    config = written(world, "--in-pod", "--token-file", str(mounted), "--namespace", "default")
    assert "exec" not in config.read_text()
    ran = world.kubectl("get", "pods", config=config)
    assert ran.status == 0, ran.text


def test_an_entry_beside_others_is_used_by_its_context(world: KubeWorld, tokens: Path) -> None:
    config = written(world)
    logged_in(world, config, tokens)
    shared = world.folder / "shared"
    shared.write_text("# ours\napiVersion: v1\nkind: Config\ncurrent-context: elsewhere  # keep\nclusters: []\n")
    made = run(
        world,
        *["kubeconfig", "cluster", "--no-browser", "--program", str(command_line(world.folder))],
        *["--merge", str(shared), "--context", "mine"],
    )
    assert made.status == 0, made.text
    text = shared.read_text()
    assert text.startswith("# ours\n")
    assert "current-context: elsewhere  # keep" in text
    env = {"HOLDPOINT_TOKENS": str(tokens)}
    assert world.kubectl("--context", "mine", "get", "ns", config=shared, env=env).status == 0
