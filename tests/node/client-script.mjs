// What both clients have in common: they read a script of operations, do them one after another, and print one JSON line
// for each thing that happens. The token comes in MCP_TOKEN, never on the command line.
//
// Script: {"elicitation": {"form": {"action": "accept", "content": {...}}, "url": {"action": "accept"}},   both optional
//          "sampling": "what the model says", "roots": ["file:///..."],                                    both optional
//          "operations": [{"do": "listTools"}, {"do": "callTool", "name": "...", "arguments": {...},
//                          "timeout": 5000, "progress": true, "resetTimeoutOnProgress": true}]}
// Operations of both: listTools, listPrompts, listResources, listResourceTemplates, callTool, getPrompt, readResource,
// complete, and {"do": "await", "notification": METHOD} until the server has said that; of v1 subscribe, unsubscribe, ping,
// setLevel, end (of the session); of v2 listen. Left-out options stay at the SDK's defaults.

const heard = new Set();
const waiting = new Map();

export const say = (line) => {
  process.stdout.write(`${JSON.stringify(line)}\n`);
  if (line.notification) {
    heard.add(line.notification);
    waiting.get(line.notification)?.();
  }
};

const hear = (method) => new Promise((resolve) => (heard.has(method) ? resolve() : waiting.set(method, resolve)));

export const readArguments = () => {
  const [url, script] = process.argv.slice(2);
  return { url: new URL(url), script: JSON.parse(script), token: process.env.MCP_TOKEN };
};

export const capabilities = ({ elicitation, sampling, roots }) => ({
  ...(elicitation && { elicitation: Object.fromEntries(Object.keys(elicitation).map((mode) => [mode, {}])) }),
  ...(sampling !== undefined && { sampling: {} }),
  ...(roots && { roots: {} }),
});

// Handlers for what a server asks, by method.
export const handlers = ({ elicitation, sampling, roots }) => ({
  ...(elicitation && {
    'elicitation/create': ({ params }) => {
      say({ asked: 'elicitation/create', params });
      return elicitation[params.mode ?? 'form'] ?? { action: 'cancel' };
    },
  }),
  ...(sampling !== undefined && {
    'sampling/createMessage': ({ params }) => {
      say({ asked: 'sampling/createMessage', params });
      return { role: 'assistant', model: 'scripted', stopReason: 'endTurn', content: { type: 'text', text: sampling } };
    },
  }),
  ...(roots && {
    'roots/list': () => {
      say({ asked: 'roots/list' });
      return { roots: roots.map((uri) => ({ uri })) };
    },
  }),
});

const options = ({ timeout, maxTotalTimeout, resetTimeoutOnProgress, progress }) => ({
  ...(timeout !== undefined && { timeout }),
  ...(maxTotalTimeout !== undefined && { maxTotalTimeout }),
  ...(resetTimeoutOnProgress !== undefined && { resetTimeoutOnProgress }),
  ...(progress && { onprogress: (params) => say({ progress: params }) }),
});

const described = (error) => ({
  name: error?.constructor?.name ?? typeof error,
  message: String(error?.message ?? error),
  ...(error?.code !== undefined && { code: error.code }),
  ...(error?.data !== undefined && { data: error.data }),
});

// Do what the script says. `connect` and each of `does` are the SDK's; a failed operation does not stop the next one.
export const perform = async (script, connect, does, end) => {
  const attempt = async (operation, action) => {
    const begun = performance.now();
    const seconds = () => Math.round(performance.now() - begun) / 1000;
    try {
      const result = await action();
      say({ operation, result: result ?? null, seconds: seconds() });
      return true;
    } catch (error) {
      say({ operation, error: described(error), seconds: seconds() });
      return false;
    }
  };
  if (await attempt('connect', connect)) {
    for (const { do: name, ...rest } of script.operations) {
      const known = name === 'await' ? ({ notification }) => hear(notification) : does[name];
      await attempt(name, () => (known ? known(rest, options(rest)) : Promise.reject(new Error(`no operation ${name}`))));
    }
  }
  await end();
};
