/** Has the engine make its tables: invokes the function once a deployment, and fails it with the engine's reason. */
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';

import { answer, type Request } from './answer';

interface Properties {
  readonly FunctionName: string;
}

export const handler = (request: Request<Properties>): Promise<void> =>
  answer(request, 'init', async ({ FunctionName }) => {
    const Payload = Buffer.from('{"init":true}');
    const given = await new LambdaClient().send(new InvokeCommand({ FunctionName, Payload }));
    const said = Buffer.from(given.Payload ?? []).toString();
    if (given.FunctionError !== undefined) throw new Error(said.slice(0, 800));
    console.log(said);
  });
