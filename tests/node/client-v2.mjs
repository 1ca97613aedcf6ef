// A client of the stateless era (2026-07-28) on the TypeScript SDK v2. Usage: MCP_TOKEN=... node client-v2.mjs URL SCRIPT
// The script may say {"negotiation": "auto"}, and then an older server is spoken to in its own way; without, it fails.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { capabilities, handlers, perform, readArguments, say } from './client-script.mjs';

const { url, script, token } = readArguments();
const headers = token ? { authorization: `Bearer ${token}` } : {};
const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers } });
const client = new Client(
  { name: 'scripted-v2', version: '1.0.0' },
  { capabilities: capabilities(script), versionNegotiation: { mode: script.negotiation ?? { pin: '2026-07-28' } } },
);

for (const [method, handler] of Object.entries(handlers(script))) client.setRequestHandler(method, handler);
for (const method of [
  'notifications/message',
  'notifications/prompts/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
  'notifications/tools/list_changed',
]) {
  client.setNotificationHandler(method, ({ params }) => say({ notification: method, params }));
}
client.onerror = (error) => say({ trouble: String(error?.message ?? error) });

const subscriptions = [];
await perform(
  script,
  async () => {
    await client.connect(transport);
    return { protocolVersion: client.getNegotiatedProtocolVersion(), server: client.getServerVersion(), capabilities: client.getServerCapabilities() };
  },
  {
    listTools: ({ cursor }, o) => client.listTools(cursor ? { cursor } : undefined, o),
    listPrompts: ({ cursor }, o) => client.listPrompts(cursor ? { cursor } : undefined, o),
    listResources: ({ cursor }, o) => client.listResources(cursor ? { cursor } : undefined, o),
    listResourceTemplates: (_, o) => client.listResourceTemplates(undefined, o),
    callTool: ({ name, arguments: given }, o) => client.callTool({ name, arguments: given ?? {} }, o),
    getPrompt: ({ name, arguments: given }, o) => client.getPrompt({ name, ...(given && { arguments: given }) }, o),
    readResource: ({ uri }, o) => client.readResource({ uri }, o),
    complete: ({ ref, argument }, o) => client.complete({ ref, argument }, o),
    listen: async ({ filter }, o) => {
      const subscription = await client.listen(filter, o);
      subscriptions.push(subscription);
      subscription.closed.then((how) => say({ subscription: how }));
      return { honored: subscription.honoredFilter };
    },
  },
  async () => {
    for (const subscription of subscriptions) await subscription.close();
    await client.close();
  },
);
