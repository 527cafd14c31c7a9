/**
 * A server that answers for QuickSight and SiteWise, which no stand-in for AWS has: each request with the answer that a
 * test has written down for it, in the form that AWS documents, or with AWS's error for what is not there.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An answer, or what makes one of a request's body. */
export type Given = object | ((body: Record<string, unknown>, path: string) => object);

export class Services {
  /** What was asked, in order: method and path, without the query. */
  readonly asked: string[] = [];
  private readonly answers = new Map<string, Given>();

  private constructor(private readonly server: ReturnType<typeof createServer>) {}

  /** Starts it, and points this process's clients of both services to it. */
  static async start(): Promise<Services> {
    const server = createServer((request, response) => void services.answer(request, response));
    const services = new Services(server);
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    Object.assign(process.env, { AWS_ENDPOINT_URL_QUICKSIGHT: url, AWS_ENDPOINT_URL_IOTSITEWISE: url });
    return services;
  }

  /** Answers requests of a method to a path with this; `*` in the path stands for any one part. */
  give(request: string, answer: Given): void {
    this.answers.set(request, answer);
  }

  /** Answers such requests as AWS does for what is not there. */
  take(request: string): void {
    this.answers.delete(request);
  }

  async stop(): Promise<void> {
    delete process.env.AWS_ENDPOINT_URL_QUICKSIGHT;
    delete process.env.AWS_ENDPOINT_URL_IOTSITEWISE;
    await new Promise((closed) => (this.server.close(closed), this.server.closeAllConnections()));
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const path = decodeURIComponent((request.url ?? '').replace(/\?.*/, ''));
    const asked = `${request.method} ${path}`;
    this.asked.push(asked);
    const [, given] = [...this.answers].find(([pattern]) => fits(pattern, asked)) ?? [];
    const type = { 'content-type': 'application/json' };
    if (given === undefined) {
      const missing = { ...type, 'x-amzn-errortype': 'ResourceNotFoundException' };
      response.writeHead(404, missing).end(JSON.stringify({ message: `${asked}: there is none` }));
      return;
    }
    const text = Buffer.concat(parts).toString();
    const body = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
    response.writeHead(200, type).end(JSON.stringify(typeof given === 'function' ? given(body, path) : given));
  }
}

function fits(pattern: string, asked: string): boolean {
  const [wanted, given] = [pattern.split('/'), asked.split('/')];
  return wanted.length === given.length && wanted.every((part, index) => part === '*' || part === given[index]);
}
