// A client of the TypeScript SDK that knows nothing but a URL: it registers, logs in at the fake issuer, calls tools.
// Usage: node oauth_client.mjs 1|2 URL CALLS, with CALLS a JSON list of [tool, arguments]. Prints one JSON object.
const [major, url, calls] = process.argv.slice(2);
const sdk = major === '2'
  ? await import('@modelcontextprotocol/client')
  : {
    ...await import('@modelcontextprotocol/sdk/client/index.js'),
    ...await import('@modelcontextprotocol/sdk/client/streamableHttp.js'),
    ...await import('@modelcontextprotocol/sdk/client/auth.js'),
  };

const asked = [];
const seen = {};
const kept = {};
const person = {
  redirectUrl: 'http://127.0.0.1:7799/callback',
  clientMetadata: {
    client_name: `TypeScript SDK ${major}`,
    redirect_uris: ['http://127.0.0.1:7799/callback'],
    // The older SDK refreshes where it should ask for more, and then gives up.
    grant_types: major === '2' ? ['authorization_code', 'refresh_token'] : ['authorization_code'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
  discoveryState: () => kept.discovery,
  saveDiscoveryState: (state) => { kept.discovery = state; },
  redirectToAuthorization: async (page) => {
    asked.push(Object.fromEntries(new URL(page).searchParams));
    const form = new URLSearchParams({ email: 'alice@corp.example', password: 'alice' });
    const back = await fetch(page, { method: 'POST', body: form, redirect: 'manual' });
    kept.callback = new URL(back.headers.get('location')).searchParams;
  },
};

let transport;
const trying = async (work) => {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof sdk.UnauthorizedError) || attempt === 3) throw error;
      const { callback } = kept;
      await (major === '2' ? transport.finishAuth(callback) : transport.finishAuth(callback.get('code')));
    }
  }
};

const client = new sdk.Client({ name: 'oauth-test', version: '1' });
await trying(() => {
  transport = new sdk.StreamableHTTPClientTransport(new URL(url), { authProvider: person });
  return client.connect(transport);
});
seen.results = [];
for (const [name, args] of JSON.parse(calls)) {
  seen.results.push(await trying(() => client.callTool({ name, arguments: args })));
}
await client.close();
console.log(JSON.stringify({ ...seen, asked }));
