// A certified OpenID provider (npm oidc-provider) that issues RFC 9068 access tokens by client credentials, and by
// authorization code to clients that register themselves. Loopback only; every secret in here is invented.
// Usage: node provider.mjs PORT RESOURCE…
import Provider from 'oidc-provider';

const [port, ...resources] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const scope = 'call notes:write';

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'agent-from-npm',
    client_secret: 'invented-secret-of-the-agent',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
  }],
  scopes: ['openid', 'offline_access', ...scope.split(' ')],
  features: {
    devInteractions: { enabled: true },
    registration: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, resource) => {
        if (!resources.includes(resource)) throw new Error(`no resource ${resource}`);
        return {
          scope, audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: 'RS256' } },
        };
      },
    },
  },
  extraTokenClaims: () => ({ groups: ['developers'] }),
});

provider.listen(Number(port), '127.0.0.1', () => console.log(`provider at ${issuer}`));
