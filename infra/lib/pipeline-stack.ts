/**
 * A pipeline for those who keep a repository of their own: what is pushed is tested, built, deployed, and tried from
 * end to end. Everything is built on ARM, as the functions run.
 *
 * The account has to be bootstrapped for CDK: to deploy, the pipeline takes on CDK's roles and has none of their rights
 * itself.
 */
import {
  ArnFormat,
  aws_codebuild as codebuild,
  aws_codepipeline as codepipeline,
  aws_codepipeline_actions as actions,
  aws_iam as iam,
  aws_logs as logs,
  aws_s3 as s3,
  Duration,
  RemovalPolicy,
  Stack,
  Tags,
  Validations,
  type StackProps,
} from 'aws-cdk-lib';
import type { Construct } from 'constructs';

import { secureBucket } from './secure-bucket';
import type { PipelineSettings } from './pipeline-settings';
import { acknowledgeWildcard } from './wildcards';

/** Rust, with Debian's Node.js and Python beside it: Docker's official image, from a registry without a limit of pulls. */
const IMAGE = 'public.ecr.aws/docker/library/rust:1.95-trixie';
const INSTALL = [
  'apt-get update',
  'apt-get install --yes --no-install-recommends make nodejs npm python3-venv mosquitto mosquitto-clients',
];
/** What CDK's bootstrap calls its roles, unless it was told otherwise. */
const QUALIFIER = 'hnb659fds';

export interface PipelineStackProps extends StackProps {
  readonly settings: PipelineSettings;
}

export class PipelineStack extends Stack {
  constructor(scope: Construct, id: string, props: PipelineStackProps) {
    super(scope, id, props);
    const { settings } = props;
    // Logs of access are allowed by the bucket's policy, since ACLs are off.
    this.node.setContext('@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy', true);
    Tags.of(this).add('iotlake:environment', settings.environment);
    const logsBucket = secureBucket(this, 'AccessLogs', {
      keepData: false,
      rules: [{ expiration: Duration.days(90) }],
    });
    const artifacts = secureBucket(this, 'Artifacts', {
      keepData: false,
      logs: logsBucket,
      rules: [{ expiration: Duration.days(30) }],
    });
    const source = new codepipeline.Artifact('Source');
    const built = new codepipeline.Artifact('Built');

    const build = this.project('Build', {
      commands: ['rustup component add clippy rustfmt', 'make test infra deployed'],
      timeout: Duration.hours(3),
      // What is deployed and tried, and no more: the sources have gone into the zips.
      artifacts: ['infra/**/*', 'target/lambda/*.zip'],
    });
    const deploy = this.project('Deploy', {
      commands: [
        'npm ci --prefix infra --no-audit --no-fund',
        'cd infra && npx cdk deploy --all --require-approval never',
      ],
      timeout: Duration.hours(1),
      told: settings.told,
    });
    const roles = this.formatArn({
      service: 'iam',
      region: '',
      resource: 'role',
      resourceName: `cdk-${QUALIFIER}-*-role-${this.account}-${this.region}`,
    });
    deploy.addToRolePolicy(new iam.PolicyStatement({ actions: ['sts:AssumeRole'], resources: [roles] }));
    acknowledgeWildcard(deploy.role as iam.Role, roles, "CDK's bootstrap has four roles: to look up, publish, deploy");
    // What was chosen at the last deployment is read from its template.
    const deployed = this.formatArn({
      service: 'cloudformation',
      resource: 'stack',
      resourceName: `iotlake-${settings.environment}/*`,
    });
    deploy.addToRolePolicy(new iam.PolicyStatement({ actions: ['cloudformation:GetTemplate'], resources: [deployed] }));
    acknowledgeWildcard(deploy.role as iam.Role, deployed, 'The id of a stack is made when it is deployed');
    const trial = this.project('EndToEnd', {
      commands: [
        'npm ci --prefix infra --no-audit --no-fund',
        'cd infra && npm run end-to-end -- --environment "$IOTLAKE_ENVIRONMENT"',
      ],
      timeout: Duration.minutes(30),
      told: settings.told,
    });
    this.allowTrial(trial, settings.environment);

    const pipeline = new codepipeline.Pipeline(this, 'Pipeline', {
      pipelineName: id,
      pipelineType: codepipeline.PipelineType.V2,
      artifactBucket: artifacts,
      executionMode: codepipeline.ExecutionMode.QUEUED,
      stages: [
        {
          stageName: 'Source',
          actions: [
            new actions.CodeStarConnectionsSourceAction({
              actionName: 'Source',
              connectionArn: settings.connectionArn,
              owner: settings.owner,
              repo: settings.repository,
              branch: settings.branch,
              output: source,
            }),
          ],
        },
        this.stage('Build', build, source, built),
        this.stage('Deploy', deploy, built),
        this.stage('EndToEnd', trial, built),
      ],
    });
    // CDK grants it under the service's former name only, which a connection of the present name does not take.
    const fetching = pipeline.node
      .findChild('Source')
      .node.findChild('Source')
      .node.findChild('CodePipelineActionRole');
    (fetching as iam.Role).addToPolicy(
      new iam.PolicyStatement({ actions: ['codeconnections:UseConnection'], resources: [settings.connectionArn] }),
    );
    const granted = [pipeline.role, ...[build, deploy, trial].map(({ role }) => role)] as iam.Role[];
    for (const role of [...granted, ...this.actionRoles(pipeline)]) answerForArtifacts(role, artifacts);
  }

  private stage(
    stageName: string,
    project: codebuild.PipelineProject,
    input: codepipeline.Artifact,
    output?: codepipeline.Artifact,
  ): codepipeline.StageProps {
    const outputs = output === undefined ? {} : { outputs: [output] };
    return { stageName, actions: [new actions.CodeBuildAction({ actionName: stageName, project, input, ...outputs })] };
  }

  private project(
    id: string,
    // Tests are told nothing: what they start refuses variables that it does not know.
    work: { commands: string[]; timeout: Duration; told?: Record<string, string>; artifacts?: string[] },
  ): codebuild.PipelineProject {
    const logGroup = new logs.LogGroup(this, `${id}Log`, {
      retention: logs.RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const variable = (value: string): codebuild.BuildEnvironmentVariable => ({ value });
    const told = Object.entries(work.told ?? {}).map(([name, value]) => [name, variable(value)] as const);
    const project = new codebuild.PipelineProject(this, id, {
      environment: {
        buildImage: codebuild.LinuxArmBuildImage.fromDockerRegistry(IMAGE),
        computeType: id === 'Build' ? codebuild.ComputeType.LARGE : codebuild.ComputeType.SMALL,
      },
      environmentVariables: Object.fromEntries(told),
      timeout: work.timeout,
      logging: { cloudWatch: { logGroup } },
      grantReportGroupPermissions: false,
      buildSpec: codebuild.BuildSpec.fromObject({
        version: '0.2',
        phases: { install: { commands: INSTALL }, build: { commands: work.commands } },
        ...(work.artifacts === undefined
          ? {}
          : {
              artifacts: { files: work.artifacts, 'exclude-paths': ['infra/node_modules/**/*', 'infra/cdk.out/**/*'] },
            }),
      }),
    });
    Validations.of(project).acknowledge(
      {
        id: 'AwsSolutions-CB4',
        reason: 'What is built is public source and zips without secrets, in a bucket that S3 encrypts',
      },
      { id: 'AwsSolutions-CB5', reason: "AWS's images have no Rust; this is Rust's own, by its version" },
    );
    const streams = this.formatArn({
      service: 'logs',
      resource: 'log-group',
      resourceName: `/aws/codebuild/${project.projectName}:*`,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
    acknowledgeWildcard(project.role as iam.Role, streams, 'A run writes a stream of its own');
    return project;
  }

  /** What `npm run end-to-end` asks of AWS: where things are, and the secret of this environment. */
  private allowTrial(trial: codebuild.PipelineProject, environment: string): void {
    const stack = this.formatArn({
      service: 'cloudformation',
      resource: 'stack',
      resourceName: `iotlake-${environment}/*`,
    });
    const secrets = this.formatArn({ service: 'secretsmanager', resource: 'secret:*' });
    trial.addToRolePolicy(
      new iam.PolicyStatement({
        actions: ['cloudformation:DescribeStacks', 'cloudformation:ListStackResources'],
        resources: [stack],
      }),
    );
    trial.addToRolePolicy(
      new iam.PolicyStatement({
        actions: ['secretsmanager:GetSecretValue'],
        resources: [secrets],
        conditions: { StringEquals: { 'secretsmanager:ResourceTag/iotlake:environment': environment } },
      }),
    );
    const role = trial.role as iam.Role;
    acknowledgeWildcard(role, stack, 'The id of a stack is made when it is deployed');
    acknowledgeWildcard(role, secrets, 'The secret gets its name at deployment; its tag says whose it is');
  }

  /** The roles that the pipeline makes for its actions. */
  private actionRoles(pipeline: codepipeline.Pipeline): iam.Role[] {
    return pipeline.node
      .findAll()
      .filter((each): each is iam.Role => each instanceof iam.Role && each !== pipeline.role);
  }
}

/** CDK grants a pipeline's roles its artifacts with wildcards of its own. */
function answerForArtifacts(role: iam.Role, artifacts: s3.IBucket): void {
  const reason = 'Artifacts of a run are named by CodePipeline; the bucket holds nothing else';
  acknowledgeWildcard(role, artifacts.arnForObjects('*'), reason);
  for (const action of ['GetObject', 'GetBucket', 'List', 'DeleteObject', 'Abort']) {
    Validations.of(role).acknowledge({ id: `AwsSolutions-IAM5[Action::s3:${action}*]`, reason });
  }
}
