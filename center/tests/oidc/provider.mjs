// An OpenID Connect provider for the test of single sign-on: oidc-provider with its own sign-in page, which takes any password.
//
// node provider.mjs PORT REDIRECT_URI PEOPLE TOKEN_CLAIMS
//   PEOPLE        a JSON file, read at each sign-in: the claims of everybody by their name
//   TOKEN_CLAIMS  "token": every claim is in the ID token; "userinfo": they are at the userinfo endpoint alone
import { readFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const [port, redirect, people, where] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, {
  clients: [{
    client_id: 'quecota',
    client_secret: 'secret-of-the-center',
    redirect_uris: [redirect],
    grant_types: ['authorization_code'],
    response_types: ['code'],
  }],
  claims: { openid: ['sub'], profile: ['preferred_username', 'roles'] },
  conformIdTokenClaims: where !== 'token',
  cookies: { keys: ['a key of the test'] },
  features: { devInteractions: { enabled: true } },
  pkce: { required: () => true },
  findAccount: (_, name) => ({
    accountId: name,
    claims: () => ({ sub: name, preferred_username: name, ...JSON.parse(readFileSync(people))[name] }),
  }),
});
provider.on('server_error', (_, error) => console.error(error));
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
