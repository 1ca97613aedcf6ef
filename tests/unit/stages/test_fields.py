"""Header fields as stages ask for them: the same as mitmproxy says."""

import pytest
from mitmproxy import http

from holdpoint.stages.fields import text, values

FIELDS = http.Headers(
    (
        (b"Content-Type", b"application/json"),
        (b"X-Twice", b"one"),
        (b"x-tWICE", b"two"),
        (b"X-Empty", b""),
        (b"X-Bytes", b"caf\xe9 \xc3\xa9"),
    )
)


@pytest.mark.parametrize("name", ["content-type", "x-twice", "x-empty", "x-bytes", "x-missing"])
def test_a_header_reads_as_mitmproxy_reads_it(name):
    assert text(FIELDS, name.encode(), "default") == FIELDS.get(name, "default")
    said = [value.decode("utf-8", "surrogateescape") for value in values(FIELDS, name.encode())]
    assert said == FIELDS.get_all(name)


def test_a_missing_header_is_empty_text():
    assert not text(FIELDS, b"x-missing")
