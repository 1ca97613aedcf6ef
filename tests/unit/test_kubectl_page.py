"""The gateway that docs/how-to/put-kubectl-behind-it.md shows is one that holds together."""

import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tests.fakes.wire import certificate

from holdpoint.cli import main
from holdpoint.identity.login import where_to_log_in
from holdpoint.settings_file import load_settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "put-kubectl-behind-it.md"


@pytest.fixture
def gateway(tmp_path: Path) -> Path:
    """The files as the page has them made."""
    [text] = re.findall(
        r"^```yaml\n(apiVersion: holdpoint/v1\n.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    for folder in ("kubernetes", "masks"):
        shutil.copytree(ROOT / "policies" / folder, tmp_path / folder)
    for file in (tmp_path / "kubernetes").iterdir():
        made = (
            file.read_text("utf-8").replace("cluster-example", "prod").replace('"group:platform"', '"group:reviewers"')
        )
        file.write_text(made, "utf-8")
    (tmp_path / "tls").mkdir()
    shutil.copy(certificate(tmp_path / "made")[0], tmp_path / "tls" / "gateway.crt")
    (tmp_path / "gateway.yaml").write_text(text, "utf-8")
    return tmp_path / "gateway.yaml"


def test_the_whole_gateway_of_the_page_is_good_and_nothing_is_to_be_warned_of(
    gateway: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--config", str(gateway), "policy", "check"]) == 0, capsys.readouterr()
    assert capsys.readouterr().err == ""


def test_a_kubeconfig_is_made_from_it_and_its_login_asks_for_the_route(
    gateway: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--config", str(gateway), "kubeconfig", "prod"]) == 0
    made = YAML(typ="safe").load(capsys.readouterr().out)
    [cluster], [user] = made["clusters"], made["users"]
    server = cluster["cluster"]["server"]
    args = user["user"]["exec"]["args"]
    assert server == "https://localhost:8443/k8s/prod" == args[args.index("--resource") + 1]
    assert where_to_log_in(load_settings(gateway, {}, check_machine=False), "prod")[1] == server
