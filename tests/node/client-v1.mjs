// A client of the legacy era (2025-11-25) on the TypeScript SDK v1. Usage: MCP_TOKEN=... node client-v1.mjs URL SCRIPT
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ElicitationCompleteNotificationSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  PromptListChangedNotificationSchema,
  ResourceListChangedNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { capabilities, handlers, perform, readArguments, say } from './client-script.mjs';

const { url, script, token } = readArguments();
const headers = token ? { authorization: `Bearer ${token}` } : {};
const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers } });
const client = new Client({ name: 'scripted-v1', version: '1.0.0' }, { capabilities: capabilities(script) });

const requests = {
  'elicitation/create': ElicitRequestSchema,
  'sampling/createMessage': CreateMessageRequestSchema,
  'roots/list': ListRootsRequestSchema,
};
for (const [method, handler] of Object.entries(handlers(script))) client.setRequestHandler(requests[method], handler);
for (const schema of [
  ElicitationCompleteNotificationSchema,
  LoggingMessageNotificationSchema,
  PromptListChangedNotificationSchema,
  ResourceListChangedNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
]) {
  client.setNotificationHandler(schema, (notification) => say({ notification: notification.method, params: notification.params }));
}
client.onerror = (error) => say({ trouble: String(error?.message ?? error) });

await perform(
  script,
  async () => {
    await client.connect(transport);
    return { protocolVersion: transport.protocolVersion, server: client.getServerVersion(), capabilities: client.getServerCapabilities() };
  },
  {
    listTools: ({ cursor }, o) => client.listTools(cursor ? { cursor } : undefined, o),
    listPrompts: ({ cursor }, o) => client.listPrompts(cursor ? { cursor } : undefined, o),
    listResources: ({ cursor }, o) => client.listResources(cursor ? { cursor } : undefined, o),
    listResourceTemplates: (_, o) => client.listResourceTemplates(undefined, o),
    callTool: ({ name, arguments: given }, o) => client.callTool({ name, arguments: given ?? {} }, undefined, o),
    getPrompt: ({ name, arguments: given }, o) => client.getPrompt({ name, ...(given && { arguments: given }) }, o),
    readResource: ({ uri }, o) => client.readResource({ uri }, o),
    subscribe: ({ uri }, o) => client.subscribeResource({ uri }, o),
    unsubscribe: ({ uri }, o) => client.unsubscribeResource({ uri }, o),
    complete: ({ ref, argument }, o) => client.complete({ ref, argument }, o),
    ping: (_, o) => client.ping(o),
    setLevel: ({ level }, o) => client.setLoggingLevel(level, o),
    end: () => transport.terminateSession(),
  },
  () => client.close(),
);
