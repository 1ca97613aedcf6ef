"""A server with one of everything MCP offers, on the Python SDK: what the conformance suite runs against.

The suite names every tool, prompt and resource and the words they answer with; a server that passes it can offer
nothing else. Runs as a program of its own, on loopback: `python -m tests.fakes.everything_server --port 8193`. With
EVERYTHING_TOKEN in its environment it takes that bearer token alone.
"""

import argparse
import asyncio
import base64
import json
import os
import socket
import sys
from dataclasses import dataclass, field
from types import TracebackType

import uvicorn
from mcp.server.lowlevel.server import ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp_types import (
    AudioContent,
    CallToolResult,
    Completion,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    JSONRPCMessage,
    PromptReference,
    ResourceTemplateReference,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from mcp_types import CompletionArgument as Argument
from mcp_types import CompletionContext as Filled
from starlette.types import ASGIApp
from tests.fakes.everything_asks import add_asking
from tests.fakes.notes_server import Door, Seen
from tests.fakes.processes import Program, free_port

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNQcGgAAAFkAOHHE8n2AAAAAElFTkSuQmCC"
"""A PNG of one pixel."""
SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="
"""A WAV of no length."""
POLL_AFTER = 100
"""Milliseconds after which a client comes back to a stream that was closed on it."""

NESTED_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
"""Every keyword of JSON Schema 2020-12 the suite looks for (SEP-1613)."""


@dataclass
class Remembered(EventStore):
    """Every event of every stream, for clients that come back with Last-Event-ID."""

    events: list[tuple[str, JSONRPCMessage | None]] = field(default_factory=list)

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keep an event; its id is its place, counted from 1."""
        self.events.append((stream_id, message))
        return str(len(self.events))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        """Send what its stream said after an event; priming events, which say nothing, are left out."""
        last = int(last_event_id) if last_event_id.isdecimal() else 0
        if not 0 < last <= len(self.events):
            return None
        stream = self.events[last - 1][0]
        for place, (of, message) in enumerate(self.events[last:], start=last + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(place)))
        return stream


def make_server() -> MCPServer:
    """Make the server."""
    server = MCPServer("mcp-conformance-test-server", version="1.0.0", log_level="ERROR")
    add_tools(server)
    add_asking(server)
    add_resources(server)
    add_prompts(server)
    add_legacy_methods(server)
    return server


def add_tools(server: MCPServer) -> None:
    """Tools that only answer."""

    @server.tool(description="Answers with text")
    def test_simple_text() -> str:
        return "This is a simple text response for testing."

    @server.tool(description="Answers with an image")
    def test_image_content() -> list[ImageContent]:
        return [ImageContent(type="image", data=PIXEL, mime_type="image/png")]

    @server.tool(description="Answers with a sound")
    def test_audio_content() -> list[AudioContent]:
        return [AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")]

    @server.tool(description="Answers with a resource")
    def test_embedded_resource() -> list[EmbeddedResource]:
        text = "This is an embedded resource content."
        return [embedded("test://embedded-resource", "text/plain", text)]

    @server.tool(description="Answers with text, an image and a resource")
    def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
        return [
            TextContent(type="text", text="Multiple content types test:"),
            ImageContent(type="image", data=PIXEL, mime_type="image/png"),
            embedded("test://mixed-content-resource", "application/json", '{"test": "data", "value": 123}'),
        ]

    @server.tool(description="Fails")
    def test_error_handling() -> CallToolResult:
        message = TextContent(type="text", text="This tool intentionally returns an error for testing")
        return CallToolResult(content=[message], is_error=True)

    @server.tool(description="Has an input schema with the keywords of 2020-12")
    def json_schema_2020_12_tool(name: str = "") -> str:
        return f"name {name}"

    # The SDK derives schemas from signatures; this one says more than a signature can.
    described = server._tool_manager.get_tool("json_schema_2020_12_tool")
    assert described is not None
    described.parameters = NESTED_SCHEMA


def embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    """A text resource inside a result."""
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def add_resources(server: MCPServer) -> None:
    """Three resources and a template."""

    @server.resource("test://static-text", description="Text", mime_type="text/plain")
    def static_text_resource() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", description="An image", mime_type="image/png")
    def static_binary_resource() -> bytes:
        return base64.b64decode(PIXEL)

    @server.resource("test://watched-resource", description="Can be subscribed to", mime_type="text/plain")
    def watched_resource() -> str:
        return "Watched resource content"

    @server.resource(
        "test://template/{id}/data", description="Says what it was asked for", mime_type="application/json"
    )
    def template_resource(id: str) -> str:  # noqa: A002  # the name of the variable in the template
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def add_prompts(server: MCPServer) -> None:
    """Prompts that only answer."""

    @server.prompt(description="Takes nothing")
    def test_simple_prompt() -> str:
        return "This is a simple prompt for testing."

    @server.prompt(description="Takes two arguments")
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt(description="Holds a resource")
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803  # the suite's name
        resource = embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
        return [user(resource), user(TextContent(type="text", text="Please process the embedded resource above."))]

    @server.prompt(description="Holds an image")
    def test_prompt_with_image() -> list[UserMessage]:
        image = ImageContent(type="image", data=PIXEL, mime_type="image/png")
        return [user(image), user(TextContent(type="text", text="Please analyze the image above."))]


def user(content: EmbeddedResource | TextContent | ImageContent) -> UserMessage:
    """A message of the user."""
    return UserMessage(content=content)


def add_legacy_methods(server: MCPServer) -> None:
    """Methods the SDK leaves to whoever needs them: completion, and what 2026-07-28 took out."""

    @server.completion()
    async def complete(
        _ref: PromptReference | ResourceTemplateReference, _argument: Argument, _context: Filled | None
    ) -> Completion:
        return Completion(values=[], total=0, has_more=False)

    async def nothing(_context: ServerRequestContext[object, object], _params: object) -> EmptyResult:
        return EmptyResult()

    low = server._lowlevel_server
    low.add_request_handler("logging/setLevel", SetLevelRequestParams, nothing)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, nothing)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, nothing)


def make_app(token: str | None) -> ASGIApp:
    """The server as a web application, behind a door if a token is given."""
    app = make_server().streamable_http_app(event_store=Remembered(), retry_interval=POLL_AFTER)
    return Door(app, token, Seen()) if token else app


class EverythingServer:
    """The server as a child process on a port of its own. A context manager."""

    def __init__(self, *, token: str | None = None) -> None:
        self._token = token
        self._port = free_port()
        self._program: Program | None = None
        self.url = f"http://127.0.0.1:{self._port}/mcp"
        """URL of the MCP endpoint, plain HTTP."""

    def __enter__(self) -> "EverythingServer":
        command = [sys.executable, "-m", "tests.fakes.everything_server", "--port", str(self._port)]
        self._program = Program(command, env={"EVERYTHING_TOKEN": self._token} if self._token else None)
        try:
            self._program.wait_for("everything server at")
        except BaseException:
            self._program.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._program is not None
        self._program.stop()
        if kind is not None:
            print(self._program.output)


async def serve(port: int, token: str | None) -> None:
    """Serve until told to stop; say so on standard output once connections are taken."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
        config = uvicorn.Config(make_app(token), log_level="warning", lifespan="on", timeout_graceful_shutdown=1)
        print(f"everything server at http://127.0.0.1:{port}/mcp", flush=True)
        await uvicorn.Server(config).serve(sockets=[listening])


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8193)
    asyncio.run(serve(parser.parse_args().port, os.environ.get("EVERYTHING_TOKEN")))


if __name__ == "__main__":
    main()
