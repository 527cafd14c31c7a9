/**
 * Stands between functions and the server that stands in for AWS, hands every request on, and remembers what it asked
 * for: the action as IAM calls it, and the resource as the request names it.
 *
 * In come signed requests, whose signature names the service; out comes a list of calls. Who called is told by the
 * client (Rust's or JavaScript's) and the service, since a stand-in's functions all have the same credentials.
 */
import { createServer, request as forward, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A call, with the names that resources got when they were deployed. */
export interface Seen {
  readonly role: string;
  readonly action: string;
  readonly resource: string;
}

type Way = readonly [method: string, path: RegExp, action: string];

const IOT: readonly Way[] = [
  ['GET', /^\/things\/[^/]+\/principals$/, 'ListThingPrincipals'],
  ['PUT', /^\/things\/[^/]+\/principals$/, 'AttachThingPrincipal'],
  ['DELETE', /^\/things\/[^/]+\/principals$/, 'DetachThingPrincipal'],
  ['POST', /^\/things\//, 'CreateThing'],
  ['GET', /^\/things\//, 'DescribeThing'],
  ['PATCH', /^\/things\//, 'UpdateThing'],
  ['DELETE', /^\/things\//, 'DeleteThing'],
  ['GET', /^\/things$/, 'ListThings'],
  ['POST', /^\/keys-and-certificate$/, 'CreateKeysAndCertificate'],
  ['POST', /^\/certificates$/, 'CreateCertificateFromCsr'],
  ['GET', /^\/certificates$/, 'ListCertificates'],
  ['GET', /^\/certificates\//, 'DescribeCertificate'],
  ['PUT', /^\/certificates\//, 'UpdateCertificate'],
  ['DELETE', /^\/certificates\//, 'DeleteCertificate'],
  ['GET', /^\/principals\/things$/, 'ListPrincipalThings'],
  ['GET', /^\/policies\//, 'GetPolicy'],
  ['PUT', /^\/target-policies\//, 'AttachPolicy'],
  ['POST', /^\/target-policies\//, 'DetachPolicy'],
  ['POST', /^\/attached-policies\//, 'ListAttachedPolicies'],
  ['GET', /^\/endpoint$/, 'DescribeEndpoint'],
];

export class Recorder {
  readonly seen: Seen[] = [];

  private constructor(private readonly server: Server) {}

  /** Starts one in front of a server. */
  static async start(to: URL): Promise<Recorder> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks);
        recorder.remember(request, body.toString());
        const { method, headers, url: path } = request;
        const onward = forward({ host: to.hostname, port: to.port, method, path, headers }, (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        });
        onward.on('error', () => response.destroy());
        onward.end(body);
      });
    });
    const recorder = new Recorder(server);
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    return recorder;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    await new Promise((closed) => (this.server.close(closed), this.server.closeAllConnections()));
  }

  private remember(request: IncomingMessage, body: string): void {
    const [, service = ''] = /Credential=[^/]+\/\d+\/[^/]+\/([^/]+)\//.exec(request.headers.authorization ?? '') ?? [];
    const isRust = String(request.headers['user-agent']).includes('rust');
    const role = roleOf(service, isRust);
    if (role === undefined) return;
    for (const { action, resource } of asked(service, request, body)) this.seen.push({ role, action, resource });
  }
}

function roleOf(service: string, isRust: boolean): string | undefined {
  if (isRust) return ['s3', 'glue'].includes(service) ? 'IngestRole' : 'OnboardingRole';
  if (service === 'lambda') return 'InitRole';
  return ['cognito-idp', 'secretsmanager', 'sns'].includes(service) ? 'AccessHandoverRole' : undefined;
}

type Asked = Omit<Seen, 'role'>;

function asked(service: string, request: IncomingMessage, body: string): Asked[] {
  const url = new URL(request.url ?? '', 'http://x');
  const path = decodeURIComponent(url.pathname);
  const target = String(request.headers['x-amz-target'] ?? '');
  const [, operation = ''] = target.split('.');
  switch (service) {
    case 's3':
      return [ofS3(request.method ?? '', path, url.searchParams)];
    case 'iot': {
      const way = IOT.find(([method, pattern]) => method === request.method && pattern.test(url.pathname));
      const principal = String(request.headers['x-amzn-principal'] ?? request.headers['x-amzn-iot-principal'] ?? '');
      const resource = `${path} ${principal} ${body.slice(0, 200)}`.trim();
      return [{ action: `iot:${way?.[2] ?? `${request.method} ${path}`}`, resource }];
    }
    case 'lambda':
      return [{ action: 'lambda:InvokeFunction', resource: path.split('/')[3] ?? '' }];
    case 'sns':
      return [
        {
          action: `sns:${new URLSearchParams(body).get('Action')}`,
          resource: new URLSearchParams(body).get('TopicArn') ?? '',
        },
      ];
    default: {
      const told = JSON.parse(body || '{}') as Record<string, string>;
      const resource = [
        told['TableName'],
        told['KeyId'],
        told['UserPoolId'],
        told['SecretId'],
        told['DatabaseName'],
      ].find(Boolean);
      const table =
        (told['TableInput'] as unknown as { Name?: string } | undefined)?.Name ?? told['Name'] ?? told['TableName'];
      const isGlue = service === 'glue';
      return [
        {
          action: `${service}:${operation}`,
          resource: isGlue ? `${told['DatabaseName']}/${table ?? ''}` : (resource ?? ''),
        },
      ];
    }
  }
}

function ofS3(method: string, path: string, query: URLSearchParams): Asked {
  const [, bucket = '', ...rest] = path.split('/');
  const key = rest.join('/');
  if (key === '') return { action: 's3:ListBucket', resource: bucket };
  const resource = `${bucket}/${key}`;
  if (method === 'DELETE')
    return { action: query.has('uploadId') ? 's3:AbortMultipartUpload' : 's3:DeleteObject', resource };
  return { action: method === 'PUT' || method === 'POST' ? 's3:PutObject' : 's3:GetObject', resource };
}
