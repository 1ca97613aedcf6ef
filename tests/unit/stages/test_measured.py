"""The length of an answer that was masked: as mitmproxy would have set it."""

import pytest
from mitmproxy import http

from holdpoint.stages.mask import _measured

TYPE = (b"Content-Type", b"application/json")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([TYPE], id="without a length"),
        pytest.param([(b"Content-Length", b"9"), TYPE], id="another length"),
        pytest.param([(b"content-length", b"9"), TYPE, (b"Content-Length", b"9")], id="two lengths"),
        pytest.param([(b"Transfer-Encoding", b"chunked"), TYPE], id="chunked"),
        pytest.param([(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"9")], id="chunked, and a length"),
        pytest.param([], id="nothing"),
    ],
)
def test_the_length_is_the_one_that_mitmproxy_sets(fields):
    answer = http.Response.make(200, b"", http.Headers(fields))
    answer.headers = http.Headers(fields)
    answer.content = b"masked"
    assert tuple(_measured(fields, len(b"masked"))) == answer.headers.fields
