"""Copies as `copy.copy` makes them."""

from copy import copy

from mitmproxy.test import tflow

from holdpoint.shallow import shallow


def test_a_copy_is_the_one_that_copy_makes():
    flow = tflow.tflow(resp=True)
    for value in (flow, flow.request, flow.request.data, flow.response, flow.response.data):
        made = shallow(value)
        assert made is not value
        assert type(made) is type(value)
        assert vars(made) == vars(copy(value))
        assert vars(made) is not vars(value)
