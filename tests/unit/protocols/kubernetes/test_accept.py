"""What the API server is asked to answer in: JSON, in the shape that the client chose."""

import pytest

from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes.accept import rewritten

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
PROTOBUF = "application/vnd.kubernetes.protobuf"


def accept(*values: str, verb: str = "get") -> str:
    return rewritten([(b"Accept", value.encode()) for value in values], verb=verb)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("application/json", "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*;q=0.5", "application/json;q=0.5"),
        ("application/json, */*", "application/json"),
        (f"{PROTOBUF},application/json", "application/json"),
        (f"{PROTOBUF};as=Table;v=v1;g=meta.k8s.io,{TABLE}, application/json", f"{TABLE},application/json"),
        (f"{DISCOVERY},application/json;q=0.9", f"{DISCOVERY},application/json;q=0.9"),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", None),
        ("application/json;stream=watch", None),
        (f"{PROTOBUF};stream=watch,application/json;stream=watch", "application/json;stream=watch"),
        ("application/cbor, application/json", "application/json"),
        ("application/yaml, application/json", "application/json"),
        ("Application/JSON", "application/json"),
        ("application/json;q=0, */*", "application/json"),
        ("text/plain, application/json", "text/plain,application/json"),
        (
            "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
            "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
        ),
        (
            "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
            "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
        ),
        ("text/html, image/png, */*;q=0.1", "text/html,application/json;q=0.1"),
    ],
)
def test_only_forms_that_can_be_inspected_are_asked_for(asked, sent):
    assert accept(asked) == (asked if sent is None else sent)


def test_no_header_asks_for_json():
    assert accept() == "application/json"


def test_every_header_counts():
    assert accept(PROTOBUF, TABLE) == TABLE


@pytest.mark.parametrize(
    "asked", [PROTOBUF, "application/cbor", "application/yaml", "image/png", "application/json;q=0.0"]
)
def test_nothing_left_is_not_acceptable(asked):
    with pytest.raises(Undecodable) as caught:
        accept(asked)
    assert caught.value.status == 406


@pytest.mark.parametrize(
    ("asked", "sent"),
    [("image/png, */*", "image/png,*/*"), ("", "*/*"), (f"{PROTOBUF}, text/html", "text/html")],
)
def test_proxied_service_is_asked_for_what_it_may_have(asked, sent):
    assert accept(asked, verb="proxy") == sent


def test_endless_header_is_refused():
    with pytest.raises(Undecodable, match="too many forms"):
        accept("application/json," * 65)
