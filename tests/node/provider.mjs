// A certified OpenID provider (npm oidc-provider) that issues RFC 9068 access tokens by client credentials, and by
// authorization code to clients that register themselves and to holdpoint's command line and console. Loopback only; every secret in here is
// invented, and everybody who says that he is somebody is believed.
// Usage: [CONSOLE=URL] node provider.mjs PORT RESOURCE…
import Provider from 'oidc-provider';

const [port, ...resources] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const scope = 'call notes:write';
const names = { alice: 'Alice Archer', rita: 'Rita Reviewer', sam: 'Sam Stone' };

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'agent-from-npm',
    client_secret: 'invented-secret-of-the-agent',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
  }, {
    client_id: 'holdpoint-cli',
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    redirect_uris: ['http://127.0.0.1/callback'],
  }, ...(process.env.CONSOLE ? [{
    client_id: 'holdpoint-console',
    token_endpoint_auth_method: 'none',
    redirect_uris: [`${process.env.CONSOLE}/auth/callback`],
    response_types: ['code'],
    application_type: 'native',
  }] : [])],
  // What reviewers are known by stands in their ID tokens.
  conformIdTokenClaims: false,
  claims: { openid: ['sub', 'email', 'email_verified', 'name', 'groups'] },
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      email: `${id}@corp.example`,
      email_verified: true,
      name: names[id] ?? id,
      groups: [id === 'alice' ? 'dev' : 'reviewers'],
    }),
  }),
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  scopes: ['openid', 'offline_access', ...scope.split(' ')],
  features: {
    devInteractions: { enabled: true },
    registration: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, resource, client) => {
        if (!resources.includes(resource)) throw new Error(`no resource ${resource}`);
        return {
          scope,
          audience: resource,
          accessTokenFormat: 'jwt',
          // Those of the command line are near their end from the start: each use of one refreshes it.
          accessTokenTTL: client.clientId === 'holdpoint-cli' ? 45 : 300,
          jwt: { sign: { alg: 'RS256' } },
        };
      },
    },
  },
  extraTokenClaims: () => ({ groups: ['developers'] }),
});

provider.listen(Number(port), '127.0.0.1', () => console.log(`provider at ${issuer}`));
