"""The tools of the everything server that ask their client for something, change lists, or answer in several parts.

Up to 2025-11-25 a server sends requests of its own inside the stream of its answer; from 2026-07-28 it answers with
`input_required` and the client calls again (SEP-2322).
"""

import asyncio
import json
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)
from pydantic import Field

Asked = Context[Any, Any]
STEP = 0.05
"""Seconds between the parts of an answer, so that they leave one by one."""
AWAY = 0.2
"""Seconds for which a client is away from a stream that was closed on it."""

CHOICE = ["active", "inactive", "pending"]
DEFAULTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "User name", "default": "John Doe"},
        "age": {"type": "integer", "description": "User age", "default": 30},
        "score": {"type": "number", "description": "User score", "default": 95.5},
        "status": {"type": "string", "description": "User status", "enum": CHOICE, "default": "active"},
        "verified": {"type": "boolean", "description": "Verification status", "default": True},
    },
}
"""A default of every primitive type (SEP-1034)."""
ENUMS = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {
            "type": "string",
            "oneOf": [{"const": f"value{n}", "title": f"Option {n}"} for n in (1, 2, 3)],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {
            "type": "array",
            "items": {"anyOf": [{"const": f"value{n}", "title": f"Choice {n}"} for n in (1, 2, 3)]},
        },
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option one", "Option two"]},
    },
    "required": ["untitledSingle", "titledSingle", "untitledMulti", "titledMulti", "legacyEnum"],
}
"""Every way to write a choice (SEP-1330)."""


async def log(context: Asked, text: str) -> None:
    await context.session.send_log_message("info", text, related_request_id=context.request_id)


async def elicit(context: Asked, message: str, schema: dict[str, Any]) -> str:
    answer = await context.session.elicit_form(message, schema, related_request_id=context.request_id)
    return f"action={answer.action}, content={json.dumps(answer.content or {})}"


async def test_tool_with_logging(context: Asked) -> str:
    """Logs while it works."""
    for text in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await log(context, text)
        await asyncio.sleep(STEP)
    return "Tool with logging executed successfully"


async def test_tool_with_progress(context: Asked) -> str:
    """Tells how far it is."""
    for done in (0, 50, 100):
        await context.report_progress(done, 100, f"Completed step {done} of 100")
        await asyncio.sleep(STEP)
    return str((context.request_context.meta or {}).get("progress_token", 0))


async def test_sampling(prompt: str, context: Asked) -> str:
    """Asks the model of its client."""
    question = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    answer = await context.session.create_message(
        messages=[question], max_tokens=100, related_request_id=context.request_id
    )
    said = answer.content
    return f"LLM response: {said.text if isinstance(said, TextContent) else 'no text'}"


async def test_elicitation(message: str, context: Asked) -> str:
    """Asks the user of its client."""
    schema = {
        "type": "object",
        "properties": {"response": {"type": "string", "description": "User's response"}},
        "required": ["response"],
    }
    return f"User response: {await elicit(context, message, schema)}"


async def test_elicitation_sep1034_defaults(context: Asked) -> str:
    """Asks the user, with defaults."""
    return f"Elicitation completed: {await elicit(context, 'Please review and update the form fields', DEFAULTS)}"


async def test_elicitation_sep1330_enums(context: Asked) -> str:
    """Asks the user, with choices."""
    return f"Elicitation completed: {await elicit(context, 'Please choose', ENUMS)}"


async def test_reconnection(context: Asked) -> str:
    """Closes its stream before it answers, so that the client has to come back."""
    await log(context, "Before disconnect")
    await context.close_sse_stream()
    await asyncio.sleep(AWAY)
    await log(context, "After reconnect")
    return "Reconnection test completed"


def test_x_mcp_header(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})] = "<none>",  # noqa: PT028  # a tool and no test
) -> str:
    """Takes an argument that is mirrored into a header (SEP-2243)."""
    return f"region {region}"


def test_missing_capability(context: Asked) -> str:
    """Needs a client that can sample."""
    if context.client_capabilities is None or context.client_capabilities.sampling is None:
        raise MCPError(
            code=MISSING_REQUIRED_CLIENT_CAPABILITY,
            message="this tool needs a client that can sample",
            data={"requiredCapabilities": {"sampling": {}}},
        )
    return "the client can sample"


async def test_trigger_tool_change(context: Asked) -> str:
    """Changes the list of tools and says so."""
    await context.notify_tools_changed()
    return "tool list changed"


async def test_trigger_prompt_change(context: Asked) -> str:
    """Changes the list of prompts and says so."""
    await context.notify_prompts_changed()
    return "prompt list changed"


def form(message: str, name: str, kind: str = "string") -> ElicitRequest:
    """A question with one field, for the user."""
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(text: str) -> CreateMessageRequest:
    """A question for the model."""
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=50))


def accepted(context: Asked, key: str, name: str) -> Any:
    """What the user filled in under a key, or None where nobody did."""
    answer = (context.input_responses or {}).get(key)
    if not isinstance(answer, ElicitResult) or answer.action != "accept":
        return None
    return (answer.content or {}).get(name)


def test_input_required_result_elicitation(context: Asked) -> str | InputRequiredResult:
    """Asks the user for a name."""
    name = accepted(context, "user_name", "name")
    if name is None:
        return InputRequiredResult(input_requests={"user_name": form("What is your name?", "name")})
    return f"Hello, {name}!"


def test_input_required_result_sampling(context: Asked) -> str | InputRequiredResult:
    """Asks the model."""
    answer = (context.input_responses or {}).get("capital_question")
    if not isinstance(answer, CreateMessageResult):
        return InputRequiredResult(input_requests={"capital_question": sample("What is the capital of France?")})
    said = answer.content
    return f"The model said: {said.text if isinstance(said, TextContent) else 'no text'}"


def test_input_required_result_list_roots(context: Asked) -> str | InputRequiredResult:
    """Asks for the roots."""
    answer = (context.input_responses or {}).get("client_roots")
    if not isinstance(answer, ListRootsResult):
        return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})
    return f"The client has {len(answer.roots)} root(s)."


def test_input_required_result_request_state(context: Asked) -> str | InputRequiredResult:
    """Keeps its state with the client."""
    if context.request_state != "asked" or accepted(context, "confirm", "ok") is None:
        return InputRequiredResult(
            input_requests={"confirm": form("Please confirm", "ok", "boolean")}, request_state="asked"
        )
    return "state-ok: confirmed"


def test_input_required_result_tampered_state(context: Asked) -> str | InputRequiredResult:
    """Keeps its state with the client, which changes it."""
    if context.request_state is None:
        return InputRequiredResult(
            input_requests={"confirm": form("Please confirm", "ok", "boolean")}, request_state="asked"
        )
    return "the state was not changed"


def test_input_required_result_multiple_inputs(context: Asked) -> str | InputRequiredResult:
    """Asks three things at once."""
    asked = {
        "user_name": form("What is your name?", "name"),
        "greeting": sample("Generate a greeting"),
        "client_roots": ListRootsRequest(),
    }
    if not asked.keys() <= (context.input_responses or {}).keys():
        return InputRequiredResult(input_requests=asked, request_state="asked")
    return "Everything was answered."


def test_input_required_result_multi_round(context: Asked) -> str | InputRequiredResult:
    """Asks twice."""
    state: dict[str, str] = json.loads(context.request_state or "{}")
    if (name := accepted(context, "step1", "name")) is not None:
        state["name"] = name
    if (color := accepted(context, "step2", "color")) is not None:
        state["color"] = color
    if "name" not in state:
        asked = {"step1": form("Step 1: What is your name?", "name")}
    elif "color" not in state:
        asked = {"step2": form("Step 2: What is your favorite color?", "color")}
    else:
        return f"{state['name']} likes {state['color']}."
    return InputRequiredResult(input_requests=asked, request_state=json.dumps(state))


def test_input_required_result_capabilities(context: Asked) -> InputRequiredResult:
    """Asks only what its client can answer."""
    can = context.client_capabilities
    asked: dict[str, ElicitRequest | CreateMessageRequest | ListRootsRequest] = {}
    if can is not None and can.sampling is not None:
        asked["sample"] = sample("Say hello")
    if can is not None and can.elicitation is not None:
        asked["elicit"] = form("What is your name?", "name")
    if can is not None and can.roots is not None:
        asked["roots"] = ListRootsRequest()
    return InputRequiredResult(input_requests=asked or None, request_state="asked")


def test_input_required_result_prompt(context: Asked) -> str | InputRequiredResult:
    """Asks the user for a context."""
    given = accepted(context, "user_context", "context")
    if given is None:
        question = form("What context should the prompt use?", "context")
        return InputRequiredResult(input_requests={"user_context": question})
    return f"Use the following context: {given}"


TOOLS = (
    test_tool_with_logging,
    test_tool_with_progress,
    test_sampling,
    test_elicitation,
    test_elicitation_sep1034_defaults,
    test_elicitation_sep1330_enums,
    test_reconnection,
    test_x_mcp_header,
    test_missing_capability,
    test_trigger_tool_change,
    test_trigger_prompt_change,
    test_input_required_result_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_tampered_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_capabilities,
)
PROMPTS = (test_input_required_result_prompt,)


def add_asking(server: MCPServer) -> None:
    """Add all of these to a server; their docstrings are the descriptions that clients read."""
    for tool in TOOLS:
        server.tool()(tool)
    for prompt in PROMPTS:
        server.prompt()(prompt)
