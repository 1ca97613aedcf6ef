"""A real MCP server, made with the MCP SDK, that says of its tools whatever a test has it say, page by page."""

import asyncio
import socket
import threading
from types import TracebackType
from typing import Any

import uvicorn
from mcp import types
from mcp.server.lowlevel import Server


class ChangingServer:
    """The server on a port of its own, in a thread, without a login. A context manager."""

    def __init__(self, *, json_response: bool = False) -> None:
        self.pages: list[list[dict[str, Any]]] = [[]]
        """What it lists. Change it whenever you like."""
        self.calls: list[str] = []
        """Tools that were called."""
        server: Server[Any] = Server("changing", version="1", on_list_tools=self._list, on_call_tool=self._call)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/mcp"
        app = server.streamable_http_app(json_response=json_response)
        config = uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="changing-server", daemon=True)

    async def _list(self, _context: Any, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        number = int(params.cursor) if params and params.cursor else 0
        tools = [types.Tool.model_validate(t) for t in self.pages[number]]
        following = str(number + 1) if number + 1 < len(self.pages) else None
        return types.ListToolsResult(tools=tools, next_cursor=following)

    async def _call(self, _context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        self.calls.append(params.name)
        return types.CallToolResult(content=[types.TextContent(type="text", text=f"did {params.name}")])

    def _serve(self) -> None:
        async def main() -> None:
            serving = asyncio.ensure_future(self._server.serve(sockets=[self._socket]))
            while not self._server.started and not serving.done():
                await asyncio.sleep(0.005)
            self._ready.set()
            await serving

        asyncio.run(main())

    def __enter__(self) -> "ChangingServer":
        self._thread.start()
        if not self._ready.wait(20):
            raise RuntimeError("the changing server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()
