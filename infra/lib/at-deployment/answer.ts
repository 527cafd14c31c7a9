/**
 * Answers CloudFormation for a custom resource: what the work gives, or why it failed. A resource that is deleted has
 * nothing to undo here.
 */

/** What CloudFormation sends, as far as it is of use. */
export interface Request<Properties> {
  readonly RequestType: 'Create' | 'Update' | 'Delete';
  readonly ResponseURL: string;
  readonly StackId: string;
  readonly RequestId: string;
  readonly LogicalResourceId: string;
  readonly ResourceProperties: Properties;
}

/** Does the work, unless the resource is being deleted, and tells CloudFormation the end of it. */
export async function answer<Properties>(
  request: Request<Properties>,
  physicalId: string,
  work: (properties: Properties) => Promise<void>,
): Promise<void> {
  let failure: string | undefined;
  try {
    if (request.RequestType !== 'Delete') await work(request.ResourceProperties);
  } catch (error) {
    console.error(error);
    failure = String(error).slice(0, 900);
  }
  const { StackId, RequestId, LogicalResourceId } = request;
  const body = JSON.stringify({
    Status: failure === undefined ? 'SUCCESS' : 'FAILED',
    Reason: failure ?? '',
    PhysicalResourceId: physicalId,
    StackId,
    RequestId,
    LogicalResourceId,
  });
  // The address is signed for a request without a type.
  const told = await fetch(request.ResponseURL, { method: 'PUT', body, headers: { 'content-type': '' } });
  if (!told.ok) throw new Error(`CloudFormation did not take the answer: ${told.status}`);
}
