"""Whatever becomes of a real body: what the gateway reads of it, google.protobuf reads too."""

import json
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import kube_protobuf
from tests.fakes.protobuf_bodies import MAGIC, body

from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes.protobuf import decode

pytestmark = pytest.mark.threat("T59")

LINES = (Path(__file__).parents[1] / "data/kubernetes/creates.jsonl").read_text(encoding="utf-8").splitlines()
BODIES = [data for line in LINES if len(data := b64decode(json.loads(line)["body"])) < 400]
CHANGES = st.lists(
    st.tuples(
        st.integers(4, 399), st.integers(0, 1), st.binary(max_size=1) | st.sampled_from([b"\x80\x00", b"\x0a\x00"])
    ),
    max_size=2,
)


@given(st.sampled_from(BODIES), CHANGES)
@settings(max_examples=300)
def test_another_reader_reads_the_same(data: bytes, changes: list[tuple[int, int, bytes]]) -> None:
    for place, taken, put in changes:
        at = min(place, len(data))
        data = data[:at] + put + data[at + taken :]
    try:
        ours = decode(data)
    except Undecodable:
        return
    envelope = kube_protobuf._parse(kube_protobuf.named("k8s.io.apimachinery.pkg.runtime.Unknown"), data[len(MAGIC) :])
    named, raw = envelope.typeMeta, envelope.raw  # type: ignore[attr-defined]
    assert (named.apiVersion, named.kind) == (ours.object["apiVersion"], ours.object["kind"])
    found = kube_protobuf.descriptor(named.apiVersion, named.kind)
    if found is None or not ours.known:
        return
    theirs = kube_protobuf._parse(found, raw)
    assert decode(body(named.apiVersion, named.kind, theirs.SerializeToString())).object == ours.object
