"""The enforcing pipeline, in order: `mitmdump -s addons/gateway.py`."""

from holdpoint.stages.approval import Approval
from holdpoint.stages.credentials import Credentials
from holdpoint.stages.decode import Decode
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.identity import Identity
from holdpoint.stages.lifecycle import Lifecycle
from holdpoint.stages.lockdown import Lockdown
from holdpoint.stages.mask import Mask
from holdpoint.stages.policy import Policy
from holdpoint.stages.record import Record

gateway = Gateway()

addons = [
    Lifecycle(gateway),
    Lockdown(gateway),  # is this traffic of a kind we inspect at all?
    Identity(gateway),  # who is calling?
    Decode(gateway),  # what do they ask?
    Policy(gateway),  # may they? with which duties?
    Approval(gateway),  # must a human say yes?
    Credentials(gateway),  # open the road
    Mask(gateway),  # what may they see?
    Record(gateway),  # what happened? no record, no access
]
