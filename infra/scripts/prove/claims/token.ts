/** The wizard's token: refreshed as the wizard and as Cognito's examples ask for it, and refused where it should be. */
import { configuration, output } from '../../deployed';
import type { Context } from '../context';

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

export async function token({ environment, report, reached }: Context): Promise<void> {
  const endpoint = reached?.tokenEndpoint ?? output(environment.stack, 'tokenEnpoint');
  const secret = await configuration(environment.aws, environment.stack);
  const right = {
    grant_type: 'refresh_token',
    client_id: output(environment.stack, 'cognitoAppClientId'),
    refresh_token: secret.get('cognitoRefreshToken') ?? '',
  };
  const ask = async (words: Record<string, string>, asForm: boolean): Promise<string> => {
    const parameters = new URLSearchParams(words).toString();
    const [url, body] = asForm ? [endpoint, parameters] : [`${endpoint}?${parameters}`, ''];
    const answer = await fetch(url, { method: 'POST', headers: FORM, body });
    const said = (await answer.json().catch(() => ({}))) as { access_token?: string; error?: string };
    // A token is a secret: that there is one is all that is told.
    return `${answer.status} ${said.access_token === undefined ? (said.error ?? '') : 'with an access token'}`.trimEnd();
  };
  const asked: [string, Record<string, string>, RegExp][] = [
    ['the refresh token', right, /^200 with an access token$/],
    ['a refresh token that never was', { ...right, refresh_token: 'x' }, /^400 invalid_grant$/],
    ['a client that never was', { ...right, client_id: 'x' }, /^400 invalid_client$/],
  ];
  for (const [what, words, due] of asked) {
    for (const asForm of [false, true]) {
      const said = await ask(words, asForm);
      const line = `${what}, ${asForm ? 'as a form' : 'in the query string'}: ${said}`;
      report.saw('token', line);
      if (due.test(said)) continue;
      const hint = said.includes('unauthorized_client') ? '; OAuth, or its flow of codes, is off at the client' : '';
      return report.refuted('token', `the token endpoint answers otherwise than it should to ${line}${hint}`);
    }
  }
  report.proved('token');
}
