"""How fast masking is, with the shipped credentials profile. Prints; asserts only that the work was done.

Run alone: `pytest tests/benchmarks/test_masking_speed.py -s`.
"""

import json
import sys
import time
from collections.abc import Callable

import msgspec
import pytest
from tests.fakes.mask_profiles import shipped


def pods(count: int, *, env: list[dict[str, str]]) -> bytes:
    items = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"web-{i}",
                "uid": f"89bd55b6-ac87-495d-badd-{i:012d}",
                "labels": {"app": "web", "tier": "front"},
                "resourceVersion": str(i),
                "annotations": {"example.com/build": f"build {i} of the web tier, made on a quiet afternoon"},
            },
            "spec": {
                "containers": [
                    {
                        "name": "main",
                        "image": "registry.local/team/web-server:1.35.2",
                        "command": ["sh", "-c", "echo started; exec httpd -f -p 8080 -h /www"],
                        "ports": [{"containerPort": 8080}],
                        "env": env,
                    }
                ]
            },
            "status": {"phase": "Running", "podIP": f"10.0.0.{i % 250}", "startTime": "2026-11-21T00:32:42Z"},
        }
        for i in range(count)
    ]
    return json.dumps({"kind": "List", "apiVersion": "v1", "items": items}, separators=(",", ":")).encode()


def best(work: Callable[[], object], *, rounds: int, repeat: int) -> float:
    """Seconds of the fastest of `rounds`, each the mean of `repeat`."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(repeat):
            work()
        times.append((time.perf_counter() - start) / repeat)
    return min(times)


CLEAN = [{"name": "MODE", "value": "production"}]
SECRET = [{"name": "MODE", "value": "production"}, {"name": "DB_PASSWORD", "value": "hunter2-invented"}]


@pytest.mark.parametrize(
    ("body", "repeat", "least"),
    [
        pytest.param(pods(3, env=CLEAN), 200, 0, id="2KB-clean"),
        pytest.param(pods(3, env=SECRET), 200, 3, id="2KB-secrets"),
        pytest.param(pods(160, env=CLEAN), 20, 0, id="100KB-clean"),
        pytest.param(pods(155, env=SECRET), 20, 155, id="100KB-secrets"),
        pytest.param(pods(1600, env=CLEAN), 2, 0, id="1MB-clean"),
    ],
)
def test_json_document_with_the_credentials_profile(
    body: bytes, repeat: int, least: int, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    masker = shipped("credentials")
    assert masker.document(body, "application/json").count == least
    seconds = best(lambda: masker.document(body, "application/json"), rounds=5, repeat=repeat)
    codec = best(lambda: msgspec.json.encode(msgspec.json.decode(body)), rounds=5, repeat=repeat)
    per_byte = 1e9 / len(body)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{request.node.callspec.id}: {len(body)} B, {seconds * 1e6:.0f} us, {seconds * per_byte:.1f} ns/B,"
            f" {seconds / codec:.1f} times msgspec's decode and encode ({codec * per_byte:.1f} ns/B)\n"
        )


def test_yaml_in_the_text_of_a_tool(capsys: pytest.CaptureFixture[str]) -> None:
    masker = shipped("credentials", "kubernetes-secrets")
    text = "".join(
        f"- name: web-{i}\n  image: registry.local/web:1\n  token: t-{i}\n  data:\n    a: b\n" for i in range(1500)
    )
    assert masker.text(text).count == 1500
    seconds = best(lambda: masker.text(text), rounds=3, repeat=1)
    with capsys.disabled():
        sys.stdout.write(
            f"\nyaml text: {len(text)} B, 1500 masked, {seconds * 1e6:.0f} us, {seconds / len(text) * 1e9:.1f} ns/B\n"
        )
