/**
 * All rules, by the name of their file: what AWS documents and no stand-in refuses, asked of every template.
 */
import { rule as alarmMetrics } from './alarm-metrics';
import { rule as alarmPeriods } from './alarm-periods';
import { rule as alarmsMayPublish } from './alarms-may-publish';
import { rule as apiTimeout } from './api-timeout';
import { rule as batchWindow } from './batch-window';
import { rule as billingRegion } from './billing-region';
import { rule as budgetNames } from './budget-names';
import { rule as callback } from './callback';
import { rule as customResourceTimeout } from './custom-resource-timeout';
import { rule as customResourcesChange } from './custom-resources-change';
import { rule as dataSetColumns } from './data-set-columns';
import { rule as directQueryFunctions } from './direct-query-functions';
import { rule as domainWords } from './domain-words';
import { rule as exportsStay } from './exports-stay';
import { rule as firehosePrefixes } from './firehose-prefixes';
import { rule as firehoseTrust } from './firehose-trust';
import { rule as images } from './images';
import { rule as iotPolicySize } from './iot-policy-size';
import { rule as iotRuleNames } from './iot-rule-names';
import { rule as keptDataIsReadable } from './kept-data-is-readable';
import { rule as mapFailuresCount } from './map-failures-count';
import { rule as notifiedQueues } from './notified-queues';
import { rule as projection } from './projection';
import { rule as receives } from './receives';
import { rule as refreshFlow } from './refresh-flow';
import { rule as rememberedDevices } from './remembered-devices';
import { rule as tokenEndpoint } from './token-endpoint';
import { rule as vendedLogs } from './vended-logs';
import { rule as visibility } from './visibility';
import type { Rule } from './rule';

export const RULES: Readonly<Record<string, Rule>> = {
  'alarm-metrics': alarmMetrics,
  'alarm-periods': alarmPeriods,
  'alarms-may-publish': alarmsMayPublish,
  'api-timeout': apiTimeout,
  'batch-window': batchWindow,
  'billing-region': billingRegion,
  'budget-names': budgetNames,
  callback: callback,
  'custom-resource-timeout': customResourceTimeout,
  'custom-resources-change': customResourcesChange,
  'data-set-columns': dataSetColumns,
  'direct-query-functions': directQueryFunctions,
  'domain-words': domainWords,
  'exports-stay': exportsStay,
  'firehose-prefixes': firehosePrefixes,
  'firehose-trust': firehoseTrust,
  images: images,
  'iot-policy-size': iotPolicySize,
  'iot-rule-names': iotRuleNames,
  'kept-data-is-readable': keptDataIsReadable,
  'map-failures-count': mapFailuresCount,
  'notified-queues': notifiedQueues,
  projection: projection,
  receives: receives,
  'refresh-flow': refreshFlow,
  'remembered-devices': rememberedDevices,
  'token-endpoint': tokenEndpoint,
  'vended-logs': vendedLogs,
  visibility: visibility,
};
