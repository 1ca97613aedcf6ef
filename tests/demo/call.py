"""Call a tool with the MCP SDK as it comes, through the gateway. Nothing here knows Holdpoint.

    HOLDPOINT_TOKEN=… python -m tests.demo.call [--url URL] [--mode auto|legacy] [TOOL [NAME=VALUE …]]

Without a tool it lists the tools. `HTTPS_PROXY` and `SSL_CERT_FILE` count, as for any client.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

URL = "http://127.0.0.1:8180/mcp/demo"


@asynccontextmanager
async def connect(url: str, token: str, *, mode: str = "auto", trust_env: bool = False) -> AsyncIterator[Client]:
    """Connect: `auto` speaks 2026-07-28 where the server does, `legacy` 2025-11-25."""
    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=120, trust_env=trust_env) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client


def text_of(result: CallToolResult) -> str:
    """Return what a model would read."""
    return "\n".join(c.text for c in result.content if isinstance(c, TextContent))


async def run(options: argparse.Namespace) -> int:
    """Do what was asked. Returns the exit status: 1 where the gateway or the tool said no."""
    token = os.environ.get("HOLDPOINT_TOKEN", "")
    arguments = dict(pair.split("=", 1) for pair in options.arguments)
    try:
        async with connect(options.url, token, mode=options.mode, trust_env=True) as client:
            print(f"[{client.protocol_version}]", file=sys.stderr)
            if not options.tool:
                print(*(tool.name for tool in (await client.list_tools()).tools), sep="\n")
                return 0
            result = await client.call_tool(options.tool, arguments)
            print(text_of(result))
            return 1 if result.is_error else 0
    except* (MCPError, httpx2.HTTPError) as group:
        for error in leaves(group):
            print(f"refused: {error}")
    return 1


def leaves(group: BaseException) -> list[BaseException]:
    """Return the errors within groups of errors: the SDK runs its transport in a task group."""
    if isinstance(group, BaseExceptionGroup):
        return [leaf for error in group.exceptions for leaf in leaves(error)]
    return [group]


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="call a tool of an MCP server, or list its tools")
    parser.add_argument("--url", default=os.environ.get("HOLDPOINT_URL", URL))
    parser.add_argument("--mode", default="auto", choices=("auto", "legacy"))
    parser.add_argument("tool", nargs="?", default="")
    parser.add_argument("arguments", nargs="*", metavar="NAME=VALUE")
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
