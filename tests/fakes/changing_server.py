"""A real MCP server, made with the MCP SDK, that says of its tools whatever a test has it say, page by page."""

from typing import Any

from mcp import types
from mcp.server.lowlevel import Server
from tests.fakes.serving import Asgi


class ChangingServer(Asgi):
    """The server on a port of its own, in a thread, without a login. A context manager."""

    def __init__(self, *, json_response: bool = False) -> None:
        self.pages: list[list[dict[str, Any]]] = [[]]
        """What it lists. Change it whenever you like."""
        self.calls: list[str] = []
        """Tools that were called."""
        server: Server[Any] = Server("changing", version="1", on_list_tools=self._list, on_call_tool=self._call)
        super().__init__(server.streamable_http_app(json_response=json_response))

    async def _list(self, _context: Any, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        number = int(params.cursor) if params and params.cursor else 0
        tools = [types.Tool.model_validate(t) for t in self.pages[number]]
        following = str(number + 1) if number + 1 < len(self.pages) else None
        return types.ListToolsResult(tools=tools, next_cursor=following)

    async def _call(self, _context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        self.calls.append(params.name)
        return types.CallToolResult(content=[types.TextContent(type="text", text=f"did {params.name}")])
