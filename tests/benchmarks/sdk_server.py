"""A real MCP server, made with the MCP SDK: one tool, answered as JSON at `/json` and as an event stream at `/sse`.

python -m tests.benchmarks.sdk_server PORT
"""

import asyncio
import sys
from contextlib import AsyncExitStack

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import CallToolResult
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.benchmarks.profiles import MCP_RESULT

TOOL = "scale_deployment"
PATHS = {"json": "/json", "sse": "/sse"}


def make_server() -> MCPServer:
    """Make the server. Its tool reports progress once if asked to, and answers 2 KB with a secret in them."""
    server = MCPServer("benchmark", version="1", log_level="ERROR")
    answer = CallToolResult.model_validate(MCP_RESULT)

    @server.tool(name=TOOL)
    async def scale(ctx: Context, replicas: int, deployment: str, namespace: str) -> CallToolResult:  # noqa: ARG001  # what is sent
        """Change the number of replicas."""
        await ctx.report_progress(1, 1)
        return answer

    return server


class Both:
    """Both ways to answer, behind one port."""

    def __init__(self) -> None:
        self.apps: dict[str, ASGIApp] = {}
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Start the servers' own tasks."""
        for kind, path in PATHS.items():
            app = make_server().streamable_http_app(streamable_http_path=path, json_response=kind == "json")
            await self._stack.enter_async_context(app.router.lifespan_context(app))
            self.apps[path] = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.apps[scope["path"]](scope, receive, send)


async def serve(port: int) -> None:
    """Serve on loopback until killed."""
    both = Both()
    await both.start()
    server = uvicorn.Server(uvicorn.Config(both, port=port, log_level="error", lifespan="off"))
    task = asyncio.ensure_future(server.serve())
    while not server.started and not task.done():  # uvicorn tells no other way
        await asyncio.sleep(0.01)
    sys.stdout.write("sdk server: serving\n")
    sys.stdout.flush()
    await task


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
