/**
 * What SiteWise knows of the kit: which model has which measurements, and which devices get an asset.
 *
 * Names of models end the model ids of devices; names of measurements end the aliases under which the rules write, so
 * that neither may change without the other.
 */

/** A measurement that goes to SiteWise live. */
export interface Measurement {
  /** The property's name; an alias is the device's id and this. */
  readonly name: 'Temperature' | 'Humidity' | 'Occupancy';
  readonly dataType: 'DOUBLE' | 'BOOLEAN';
  readonly unit?: string;
  /** Where it is in a message. */
  readonly path: string;
}

export const MEASUREMENTS: readonly Measurement[] = [
  { name: 'Temperature', dataType: 'DOUBLE', unit: 'C', path: 'measurements.temperature' },
  { name: 'Humidity', dataType: 'DOUBLE', unit: 'RH', path: 'measurements.humidity' },
  { name: 'Occupancy', dataType: 'BOOLEAN', path: 'measurements.occupied' },
];

/** The measurements of each model. */
export const MODELS = {
  HoboMX100: ['Temperature'],
  RS40_Occupancy_Sensor: ['Occupancy'],
  RuuviTag: ['Temperature', 'Humidity'],
  S1_Sensor: ['Temperature'],
} as const satisfies Record<string, readonly Measurement['name'][]>;

export type ModelName = keyof typeof MODELS;

/** A device that gets an asset. */
export interface SiteWiseDevice {
  readonly model: ModelName;
  readonly deviceId: string;
}

/** What a list of devices looks like. */
export const DEVICES_DUE = `MODEL=DEVICE,… is due, MODEL one of ${Object.keys(MODELS).join(', ')}, each device once`;

/** Reads `RuuviTag=c0ffee000001,S1_Sensor=ac233fa2129e`; `undefined` if it is not such a list. */
export function readDevices(list: string): SiteWiseDevice[] | undefined {
  if (list === '') return [];
  const devices: SiteWiseDevice[] = [];
  for (const item of list.split(',')) {
    const [, model, deviceId] = /^\s*(\w+)=([A-Za-z0-9_.:-]{1,128})\s*$/.exec(item) ?? [];
    if (model === undefined || deviceId === undefined || !Object.hasOwn(MODELS, model)) return undefined;
    if (devices.some((device) => device.deviceId === deviceId)) return undefined;
    devices.push({ model: model as ModelName, deviceId });
  }
  return devices;
}

/** The alias under which a device's measurement is written and read. */
export function alias(deviceId: string, measurement: Measurement['name']): string {
  return `${deviceId}${measurement}`;
}

/** The name of a model in an account and region that several environments share; also its external id. */
export function modelName(environment: string, model: ModelName): string {
  return `iotlake-${environment}-${model}`;
}
