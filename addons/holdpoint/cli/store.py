"""`holdpoint store migrate|grants`: for a store that several gateways share."""

import argparse
import asyncio
import os
from pathlib import Path

from holdpoint.cli.common import Commands, Failure, settings_of
from holdpoint.clock import SystemClock
from holdpoint.settings import Postgres, Settings
from holdpoint.store.opening import make_store
from holdpoint.store.protocol import StoreUnavailable
from holdpoint.store.roles import grants


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    group = commands.add_parser("store", help="the database of approvals: migrate, grants")
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    migrate = actions.add_parser("migrate", help="bring a shared store up to date, under the role of the URL")
    migrate.set_defaults(run=_migrate)
    granting = actions.add_parser("grants", help="print the SQL that gives roles what they need of a shared store")
    granting.add_argument("gateway", help="role of the gateways")
    granting.add_argument("--reader", default="", help="role that may read requests as reviewers see them")
    granting.set_defaults(run=_grants)


def _migrate(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    _shared(settings)

    async def once() -> None:
        store = make_store(settings, os.environ, SystemClock())
        try:
            await store.open()
        except StoreUnavailable as error:
            raise Failure(str(error)) from error
        await store.close()

    asyncio.run(once())
    print("the store is up to date")
    return 0


def _grants(arguments: argparse.Namespace) -> int:
    print(grants(_shared(settings_of(arguments)).schema, arguments.gateway, arguments.reader), end="")
    return 0


def _shared(settings: Settings) -> Postgres:
    if isinstance(settings.store, Path):
        raise Failure("`store` is a file of this gateway's own: there are no roles, and it is migrated at start")
    return settings.store
