from pathlib import Path

import pytest
from tests.fakes.gateway_yaml import ENVIRON, write_gateway

from holdpoint.domain.refusal import ConfigError
from holdpoint.settings import Target
from holdpoint.settings_file import load_settings

MCP = "  - name: files\n    protocol: mcp\n"
CLUSTER = "  - name: files\n    protocol: kubernetes\n"


def cluster(folder: Path, record: str, protocol: str = CLUSTER) -> Target:
    file = write_gateway(folder, (MCP, f"{protocol}{record}"))
    return load_settings(file, ENVIRON, check_machine=False).target("files")


@pytest.mark.parametrize(
    ("record", "stdin", "bodies"),
    [
        ("", False, True),
        ("    record: {stdin: off}\n", False, True),
        ("    record: {stdin: sealed}\n", True, True),
        ("    record: {bodies: false, stdin: sealed}\n", True, False),
    ],
)
def test_what_is_typed_is_kept_only_where_it_is_said(tmp_path: Path, record: str, stdin: bool, bodies: bool) -> None:
    target = cluster(tmp_path, record)
    assert (target.record_stdin, target.record_bodies) == (stdin, bodies)


@pytest.mark.parametrize(
    ("record", "protocol", "error"),
    [
        pytest.param("    record: {stdin: plain}\n", CLUSTER, "`plain` is none of", id="in the clear"),
        pytest.param("    record: {stdin: on}\n", CLUSTER, "`on` is none of", id="on"),
        pytest.param("    record: {stdin: sealed}\n", MCP, "only Kubernetes has commands", id="another protocol"),
    ],
)
def test_a_mistake_is_refused(tmp_path: Path, record: str, protocol: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        cluster(tmp_path, record, protocol)
