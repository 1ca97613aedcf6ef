"""Bring up everything that the stages use, in order."""

import asyncio
import os
from collections.abc import Awaitable, Callable

from holdpoint import keys
from holdpoint.admin.server import AdminServer
from holdpoint.approvals.broker import Broker
from holdpoint.clock import Clock
from holdpoint.credentials.of_targets import Credentials
from holdpoint.domain.refusal import ConfigError
from holdpoint.identity.calls import Calls
from holdpoint.identity.verify import Verifier
from holdpoint.recording.audit import AuditLog
from holdpoint.recording.sessions import Sessions
from holdpoint.recording.writer import Recorder
from holdpoint.settings import Settings
from holdpoint.stages import noticing
from holdpoint.stages.admin_methods import AdminMethods
from holdpoint.stages.handles import UNUSED_FOR
from holdpoint.stages.policies import load_policies
from holdpoint.stages.services import Services
from holdpoint.store.opening import make_store
from holdpoint.store.protocol import StoreUnavailable


async def open_services(settings: Settings, clock: Clock, reload: Callable[[], Awaitable[str]]) -> Services:
    """Bring everything up. Raises ConfigError; what was opened by then is closed by the end of the process."""
    digest_key = keys.open_digest_key(settings.keys.digest_file)
    audit_keys = keys.open_audit_keys(settings.keys)
    policies = load_policies(settings, digest_key)
    calls = Calls(keys.open_call_keys(settings.keys), clock)
    credentials = Credentials(settings, os.environ, clock, mint=calls.mint, heads=calls.heads)
    verifier = Verifier(settings.issuers, clock)
    audit = AuditLog(
        settings.recordings.folder,
        audit_keys.signer,
        clock,
        ring=audit_keys.ring,
        checkpoint=settings.recordings.checkpoint,
    )
    opened = await asyncio.to_thread(audit.start)
    recorder = Recorder(audit, clock)
    await asyncio.to_thread(recorder.recover, opened)
    store = make_store(settings, os.environ, clock)
    notices, slack = noticing.open_notices(settings, store, clock, audit)
    methods = AdminMethods(settings, clock, reload, audit)
    try:
        await store.open()
        handles = await store.handles(clock.now() - UNUSED_FOR)
        stored_pins = await store.pins()
        suspended = await store.suspensions()
        heard, seen = noticing.told(methods.on_broker_event, notices), methods.console_seen
        broker = Broker(store, clock, heard, reachable=seen, told=notices.reached, barred=methods.barred, confirm=True)
        notices.on_reached(broker.note_told)
        await broker.start()
        # Policies may have changed while the gateway was down.
        await broker.redecide(policies.engine.decide)
        await notices.start()
    except StoreUnavailable as error:
        raise ConfigError(str(error)) from error
    services = Services(
        settings=settings,
        clock=clock,
        digest_key=digest_key,
        policies=policies,
        verifier=verifier,
        credentials=credentials,
        calls=calls,
        audit=audit,
        recorder=recorder,
        store=store,
        broker=broker,
        sessions=Sessions(settings.recordings.idle),
        notices=notices,
        slack=slack,
    )
    services.handles.load(handles)
    services.pins.load(stored_pins)
    services.suspensions.load(suspended)
    methods.attach(services)
    services.admin = AdminServer(settings.admin_socket, methods.table())
    await services.admin.start()
    await verifier.start()
    services.live.start()
    await services.previews.resume()
    services.suspensions.on_begun, services.suspensions.on_over = methods.principals.enforce, methods.principals.over
    for suspension in services.suspensions.listed():
        await methods.principals.enforce(suspension)
    services.suspensions.start()
    return services
