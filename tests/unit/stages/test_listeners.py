import errno
import socket

import pytest

from holdpoint.stages.listeners import _reason


def test_taken_port_says_what_to_do_and_names_no_placeholder():
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as other:
        with pytest.raises(OSError) as caught:
            other.bind(taken.getsockname())
        mitmproxys = OSError(caught.value.errno, "reverse proxy to http://holdpoint.invalid:1 failed to listen")
    assert _reason(mitmproxys) == "the port is taken: stop what listens there, or choose another `listen`"


def test_other_errors_of_the_system_are_named_by_themselves():
    assert _reason(OSError(errno.EACCES, "reverse proxy to http://holdpoint.invalid:1")) == "Permission denied"
    assert _reason(ValueError("no such mode")) == "no such mode"
    assert _reason(None) == "it is not running"
