"""Everything with a life of its own that the stages use: brought up in order, closed in reverse."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from mitmproxy import http

from holdpoint import __version__
from holdpoint.admin.server import AdminServer
from holdpoint.approvals.broker import Broker
from holdpoint.clock import Clock
from holdpoint.credentials.static import Credentials
from holdpoint.domain.access import Principal
from holdpoint.domain.approval import ApprovalRequest
from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.domain.grant import Grant, GrantState
from holdpoint.domain.refusal import Refusal
from holdpoint.domain.values import JsonObject
from holdpoint.identity.verify import Verifier
from holdpoint.recording.audit import AuditLog
from holdpoint.settings import Settings
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.policies import Policies, load_policies
from holdpoint.store.sqlite import SqliteStore
from holdpoint.tasks import spawn

if TYPE_CHECKING:
    from holdpoint.stages.gateway import Gateway

logger = logging.getLogger(__name__)
