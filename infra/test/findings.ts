/** What cdk-nag finds in an application that nobody has answered for in the code. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';

/** A rule, and the path of the construct that breaks it. */
export interface Finding {
  readonly rule: string;
  readonly place: string;
}

/** Synthesizes what `build` adds to an application, and reads the report. */
export function findings(build: (app: App) => void): Finding[] {
  const outdir = fs.mkdtempSync(path.join(os.tmpdir(), 'iotlake-nag-'));
  const app = new App({ outdir });
  build(app);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  const complaints = jest.spyOn(console, 'error').mockImplementation();
  const report = path.join(outdir, 'validation-report.json');
  try {
    app.synth();
  } catch (error) {
    // Findings fail the synthesis; anything else leaves no report.
    if (!fs.existsSync(report)) throw error;
  } finally {
    complaints.mockRestore();
  }
  const found = violations(JSON.parse(fs.readFileSync(report, 'utf8')));
  fs.rmSync(outdir, { recursive: true });
  return found;
}

function violations(report: unknown): Finding[] {
  const found: Finding[] = [];
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const { ruleName, violatingConstructs } = value as {
      ruleName?: string;
      violatingConstructs?: { constructPath: string }[];
    };
    for (const { constructPath } of violatingConstructs ?? []) {
      found.push({ rule: ruleName ?? '', place: constructPath });
    }
    for (const [key, part] of Object.entries(value)) if (key !== 'suppressedViolations') walk(part);
  };
  walk(report);
  return found;
}
