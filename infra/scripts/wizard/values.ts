/**
 * The wizard's values: where each of the four comes from.
 */

/** Label and value, in the order of the wizard's form. */
export type WizardValues = readonly (readonly [label: string, value: string])[];

/** Takes the values from the outputs of a stack, the token from its configuration. */
export function wizardValues(
  output: (key: string) => string,
  configuration: ReadonlyMap<string, string>,
): WizardValues {
  return [
    // The output's name is misspelt since the quickstart's was, and programs read it.
    ['Cognito URL', output('tokenEnpoint')],
    ['API Gateway URL', output('iotOnboardingApiUrl')],
    ['Client ID', output('cognitoAppClientId')],
    ['Refresh Token', configuration.get('cognitoRefreshToken') ?? ''],
  ];
}
