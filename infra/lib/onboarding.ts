/**
 * A device gets its identity: the HTTP API with its authorizer, the pool, the table, the key, the shared policy, the
 * function `onboarding`.
 */
import {
  aws_apigatewayv2 as api,
  aws_apigatewayv2_authorizers as authorizers,
  aws_apigatewayv2_integrations as integrations,
  aws_cognito as cognito,
  aws_dynamodb as dynamodb,
  aws_iam as iam,
  aws_iot as iot,
  aws_kms as kms,
  aws_lambda as lambda,
  aws_logs as logs,
  Duration,
  Fn,
  RemovalPolicy,
  Stack,
  Token,
  Validations,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';

import type { CodeSource } from './lambda-code';
import type { Settings } from './settings';
import { acknowledgeWildcard } from './wildcards';

/** What is in the tokens that the wizard gets by its refresh token. */
export const USER_SCOPE = 'aws.cognito.signin.user.admin';
/** What a machine's client asks for. */
const MACHINE_SCOPE = 'iotlake/onboard';
/** The encryption context under which the function has data keys wrapped. */
const PURPOSE = 'iotlake device key';
const THING = '${iot:Connection.Thing.ThingName}';

export interface OnboardingProps {
  readonly settings: Settings;
  readonly code: CodeSource;
}

export class Onboarding extends Construct {
  readonly function: lambda.Function;
  readonly userPool: cognito.UserPool;
  readonly client: cognito.UserPoolClient;
  readonly tokenEndpoint: string;
  readonly apiUrl: string;
  readonly httpApi: api.HttpApi;
  readonly table: dynamodb.TableV2;
  readonly key: kms.Key;

  constructor(scope: Construct, id: string, props: OnboardingProps) {
    super(scope, id);
    const { settings } = props;
    const stack = Stack.of(this);
    const removalPolicy = settings.keepData ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
    this.key = new kms.Key(this, 'Key', {
      description: `Private keys of devices, iotlake ${settings.environment}`,
      enableKeyRotation: true,
      pendingWindow: Duration.days(30),
      removalPolicy,
    });
    this.table = new dynamodb.TableV2(this, 'Devices', {
      partitionKey: { name: 'deviceGroup', type: dynamodb.AttributeType.STRING },
      sortKey: { name: 'serialNumber', type: dynamodb.AttributeType.STRING },
      billing: dynamodb.Billing.onDemand(),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      encryption: dynamodb.TableEncryptionV2.awsManagedKey(),
      deletionProtection: settings.keepData,
      removalPolicy,
    });
    const policyName = `iotlake-device-${settings.environment}`;
    new iot.CfnPolicy(this, 'DevicePolicy', { policyName, policyDocument: this.devicePolicy(settings) });
    this.function = this.service(props, policyName);

    this.userPool = new cognito.UserPool(this, 'Users', {
      selfSignUpEnabled: false,
      featurePlan: cognito.FeaturePlan.ESSENTIALS,
      accountRecovery: cognito.AccountRecovery.NONE,
      passwordPolicy: {
        minLength: 16,
        requireDigits: true,
        requireLowercase: true,
        requireUppercase: true,
        requireSymbols: true,
      },
      deletionProtection: settings.keepData,
      removalPolicy,
    });
    const scopes = [USER_SCOPE];
    Validations.of(this.userPool).acknowledge(
      {
        id: 'AwsSolutions-COG2',
        reason: 'Its users are programs, which have no second factor; their passwords are random and never typed',
      },
      {
        id: 'AwsSolutions-COG8',
        reason: 'Threat protection watches people sign in; here one program does, and it costs more than all else',
      },
    );
    this.client = this.userPool.addClient('Wizard', {
      generateSecret: false,
      authFlows: { adminUserPassword: true },
      refreshTokenValidity: Duration.days(2650),
      accessTokenValidity: Duration.hours(1),
      idTokenValidity: Duration.hours(1),
      preventUserExistenceErrors: true,
      enableTokenRevocation: true,
      // Without OAuth the token endpoint refuses the client, whose refresh token it is asked with; the scopes are those of
      // the quickstart's client. Nobody signs in through a page: the address leads nowhere, and the one user is a program.
      oAuth: {
        flows: { authorizationCodeGrant: true },
        scopes: ['phone', 'email', 'openid', 'profile', USER_SCOPE].map((name) => cognito.OAuthScope.custom(name)),
        callbackUrls: ['https://localhost/'],
      },
    });
    const clients = [this.client.userPoolClientId];
    if (settings.machineClient) {
      const scope = new cognito.ResourceServerScope({ scopeName: 'onboard', scopeDescription: 'Onboard devices' });
      const server = this.userPool.addResourceServer('Server', { identifier: 'iotlake', scopes: [scope] });
      const machine = this.userPool.addClient('Machine', {
        generateSecret: true,
        oAuth: { flows: { clientCredentials: true }, scopes: [cognito.OAuthScope.resourceServer(server, scope)] },
        enableTokenRevocation: true,
      });
      clients.push(machine.userPoolClientId);
      scopes.push(MACHINE_SCOPE);
    }
    // Unique in a region among all accounts, and not the quickstart's, which may still be there.
    const domain = `iotlake-${stack.account}-${settings.environment}`;
    new cognito.CfnUserPoolDomain(this, 'Domain', { domain, userPoolId: this.userPool.userPoolId });
    this.tokenEndpoint = `https://${domain}.auth.${stack.region}.amazoncognito.com/oauth2/token`;

    this.httpApi = this.routes(settings, clients, scopes);
    this.apiUrl = `https://${this.httpApi.apiId}.execute-api.${stack.region}.${stack.urlSuffix}/`;
  }

  /** What the service itself would make: connect as oneself, publish below the root topic. */
  private devicePolicy({ rootMqttTopic: filter, topicScope }: Settings): object {
    const prefix = `arn:${Stack.of(this).partition}:iot:${Stack.of(this).region}:${Stack.of(this).account}`;
    // The filter ends in `#`; inside a policy `*` stands for both wildcards. A parameter is split when it is deployed.
    const below = Token.isUnresolved(filter)
      ? Fn.join('*', Fn.split('+', Fn.join('*', Fn.split('#', filter))))
      : filter.replace(/[#+]/g, '*');
    const root = below.replace(/\*$/, '');
    const topics = topicScope === 'thing' ? [`${root}${THING}`, `${root}${THING}/*`] : [below];
    return {
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Action: 'iot:Connect',
          Resource: `${prefix}:client/${THING}`,
          Condition: { Bool: { 'iot:Connection.Thing.IsAttached': ['true'] } },
        },
        { Effect: 'Allow', Action: 'iot:Publish', Resource: topics.map((topic) => `${prefix}:topic/${topic}`) },
      ],
    };
  }

  private service({ settings, code }: OnboardingProps, policyName: string): lambda.Function {
    const log = new logs.LogGroup(this, 'Log', {
      retention: settings.logDays as logs.RetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new iam.Role(this, 'Role', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
    for (const statement of this.statements(policyName, log)) role.addToPolicy(statement);
    acknowledgeWildcard(role, this.iotArn('thing', '*'), 'Things get their names when devices are onboarded');
    acknowledgeWildcard(role, this.iotArn('cert', '*'), 'Certificates get their ids when devices are onboarded');
    acknowledgeWildcard(role, '*', 'IoT knows no resource for these actions, nor X-Ray for traces');
    const service = new lambda.Function(this, 'Function', {
      description: 'Devices get their identity',
      runtime: lambda.Runtime.PROVIDED_AL2023,
      architecture: lambda.Architecture.ARM_64,
      handler: 'bootstrap',
      code: code(this, 'onboarding'),
      role: role.withoutPolicyUpdates(),
      memorySize: 256,
      // API Gateway waits no longer than 30 s.
      timeout: Duration.seconds(29),
      tracing: lambda.Tracing.ACTIVE,
      logGroup: log,
      environment: {
        LAMBDA_ENV: settings.environment,
        MAIN_TOPIC: settings.rootMqttTopic,
        ONBOARDING_TOPIC_SCOPE: settings.topicScope,
        CREDENTIAL_RETENTION: settings.credentialRetention,
        ONBOARDING_TABLE_NAME: this.table.tableName,
        ONBOARDING_TABLE_PK: 'deviceGroup',
        ONBOARDING_TABLE_SK: 'serialNumber',
        ONBOARDING_POLICY_NAME: policyName,
        ONBOARDING_KMS_KEY: this.key.keyArn,
      },
    });
    service.node.addDependency(role.node.findChild('DefaultPolicy'));
    return service;
  }

  /** What onboarding/README.md lists, with the resource of each as far as IoT has one. */
  private statements(policyName: string, log: logs.LogGroup): iam.PolicyStatement[] {
    const [things, certificates] = [this.iotArn('thing', '*'), this.iotArn('cert', '*')];
    const policy = this.iotArn('policy', policyName);
    const allow = (actions: string[], resources: string[]): iam.PolicyStatement =>
      new iam.PolicyStatement({ actions, resources });
    const table = ['GetItem', 'PutItem', 'DeleteItem', 'Query'].map((action) => `dynamodb:${action}`);
    return [
      allow(table, [this.table.tableArn]),
      new iam.PolicyStatement({
        actions: ['kms:GenerateDataKey', 'kms:Decrypt'],
        resources: [this.key.keyArn],
        conditions: { StringEquals: { 'kms:EncryptionContext:purpose': PURPOSE } },
      }),
      allow(
        ['CreateThing', 'DescribeThing', 'UpdateThing', 'DeleteThing', 'ListThingPrincipals'].map((a) => `iot:${a}`),
        [things],
      ),
      allow(['iot:DescribeCertificate', 'iot:UpdateCertificate', 'iot:DeleteCertificate'], [certificates]),
      allow(['iot:GetPolicy'], [policy]),
      allow(['iot:AttachPolicy', 'iot:DetachPolicy'], [policy, certificates]),
      // IoT has no resource for these; what they touch is decided by the ARN of a certificate that the function holds.
      allow(
        [
          'iot:CreateKeysAndCertificate',
          'iot:CreateCertificateFromCsr',
          'iot:AttachThingPrincipal',
          'iot:DetachThingPrincipal',
          'iot:ListPrincipalThings',
          'iot:ListAttachedPolicies',
          'iot:ListThings',
          'iot:ListCertificates',
          'iot:DescribeEndpoint',
          'xray:PutTraceSegments',
          'xray:PutTelemetryRecords',
        ],
        ['*'],
      ),
      allow(['logs:CreateLogStream', 'logs:PutLogEvents'], [log.logGroupArn]),
    ];
  }

  private iotArn(resource: string, resourceName: string): string {
    return Stack.of(this).formatArn({ service: 'iot', resource, resourceName });
  }

  private routes(settings: Settings, audience: string[], authorizationScopes: string[]): api.HttpApi {
    const stack = Stack.of(this);
    const issuer = `https://cognito-idp.${stack.region}.${stack.urlSuffix}/${this.userPool.userPoolId}`;
    const authorizer = new authorizers.HttpJwtAuthorizer('Authorizer', issuer, { jwtAudience: audience });
    const httpApi = new api.HttpApi(this, 'Api', {
      apiName: `iotlake-onboarding-${settings.environment}`,
      createDefaultStage: false,
      // The wizard runs in a browser, wherever it was opened from; what counts is the token.
      corsPreflight: {
        allowOrigins: ['*'],
        allowHeaders: ['*', 'authorization'],
        allowMethods: [api.CorsHttpMethod.ANY],
        maxAge: Duration.hours(1),
      },
    });
    const integration = new integrations.HttpLambdaIntegration('Integration', this.function, {
      payloadFormatVersion: api.PayloadFormatVersion.VERSION_1_0,
    });
    httpApi.addRoutes({
      path: '/onboard/{id}',
      methods: [api.HttpMethod.GET, api.HttpMethod.POST, api.HttpMethod.PUT, api.HttpMethod.DELETE],
      integration,
      authorizer,
      authorizationScopes,
    });
    const log = new logs.LogGroup(this, 'AccessLog', {
      retention: settings.logDays as logs.RetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    new api.CfnStage(this, 'Stage', {
      apiId: httpApi.apiId,
      stageName: 'api',
      autoDeploy: true,
      accessLogSettings: {
        destinationArn: log.logGroupArn,
        format: JSON.stringify({
          requestId: '$context.requestId',
          time: '$context.requestTime',
          method: '$context.httpMethod',
          path: '$context.path',
          status: '$context.status',
          error: '$context.authorizer.error',
          ms: '$context.responseLatency',
        }),
      },
      defaultRouteSettings: { throttlingBurstLimit: 20, throttlingRateLimit: 10 },
    });
    return httpApi;
  }
}
