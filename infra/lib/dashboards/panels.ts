/**
 * The nine panels of the dashboard: what each shows, and where it stands.
 *
 * Out comes a definition that an analysis and a dashboard share. Columns are those of the data set; a panel for one
 * kind of device has a filter of its own.
 */
import type { aws_quicksight as quicksight } from 'aws-cdk-lib';

import type { ModelName } from '../sitewise/models';

/** What the definition calls its data set; a template of the quickstart has the same placeholder. */
export const PLACEHOLDER = 'placeholder';

const SHEET = 'devices';
const GRID_COLUMNS = 36;

type Visual = quicksight.CfnAnalysis.VisualProperty;
type Dimension = quicksight.CfnAnalysis.DimensionFieldProperty;
type Measure = quicksight.CfnAnalysis.MeasureFieldProperty;
type FilterGroup = quicksight.CfnAnalysis.FilterGroupProperty;

/** A panel; its id also names its fields. */
interface Panel {
  readonly id: string;
  readonly title: string;
  readonly visual: (id: string, title: string) => Visual;
  /** Only devices of this model. */
  readonly model?: ModelName;
  readonly width: number;
  readonly height: number;
}

const column = (columnName: string): quicksight.CfnAnalysis.ColumnIdentifierProperty => ({
  dataSetIdentifier: PLACEHOLDER,
  columnName,
});

const field = (visual: string, name: string): string => `${visual}-${name.replace(/\W/g, '-')}`;

const text = (visual: string, name: string): Dimension => ({
  categoricalDimensionField: { fieldId: field(visual, name), column: column(name) },
});

const minute = (visual: string): Dimension => ({
  dateDimensionField: { fieldId: field(visual, 'time'), column: column('time'), dateGranularity: 'MINUTE' },
});

const aggregate = (visual: string, name: string, how: 'AVERAGE' | 'COUNT'): Measure => ({
  numericalMeasureField: {
    fieldId: field(visual, `${how.toLowerCase()}-${name}`),
    column: column(name),
    aggregationFunction: { simpleNumericalAggregation: how },
  },
});

const latest = (visual: string): Measure => ({
  dateMeasureField: { fieldId: field(visual, 'latest'), column: column('time'), aggregationFunction: 'MAX' },
});

const titled = (visualId: string, plainText: string): { visualId: string; title: object } => ({
  visualId,
  title: { visibility: 'VISIBLE', formatText: { plainText } },
});

/** A line over time, a colour for each device where `by` says so. */
function line(id: string, title: string, value: Measure, by?: string): Visual {
  return {
    lineChartVisual: {
      ...titled(id, title),
      chartConfiguration: {
        type: 'LINE',
        fieldWells: {
          lineChartAggregatedFieldWells: {
            category: [minute(id)],
            values: [value],
            colors: by === undefined ? [] : [text(id, by)],
          },
        },
        sortConfiguration: {
          categorySort: [{ fieldSort: { fieldId: field(id, 'time'), direction: 'ASC' } }],
        },
      },
    },
  };
}

const byMinute = (id: string, title: string, measurement: string, model: ModelName): Panel => ({
  id,
  title,
  model,
  visual: (visualId, name) => line(visualId, name, aggregate(visualId, measurement, 'AVERAGE'), 'device.deviceid'),
  width: GRID_COLUMNS / 2,
  height: 10,
});

const LAST_MESSAGES = [
  'time',
  'model',
  'device.deviceid',
  'device.gatewayid',
  'temperature',
  'humidity',
  'measurements.occupied',
  'measurements.batterylevel.int',
  'measurements.rssi.int',
];

/** The panels, in reading order. */
export const PANELS: readonly Panel[] = [
  {
    id: 'active-devices',
    title: 'Active devices in the last two days',
    visual: (id, title) => ({
      tableVisual: {
        ...titled(id, title),
        chartConfiguration: {
          fieldWells: {
            tableAggregatedFieldWells: {
              groupBy: [text(id, 'model'), text(id, 'device.deviceid')],
              values: [latest(id), aggregate(id, 'ts', 'COUNT')],
            },
          },
          sortConfiguration: { rowSort: [{ fieldSort: { fieldId: field(id, 'latest'), direction: 'DESC' } }] },
        },
      },
    }),
    width: GRID_COLUMNS / 2,
    height: 10,
  },
  {
    id: 'messages-per-minute',
    title: 'Messages per minute',
    visual: (id, title) => line(id, title, aggregate(id, 'ts', 'COUNT')),
    width: GRID_COLUMNS / 2,
    height: 10,
  },
  {
    id: 'gateways',
    title: 'Gateways',
    visual: (id, title) => ({
      barChartVisual: {
        ...titled(id, title),
        chartConfiguration: {
          orientation: 'HORIZONTAL',
          fieldWells: {
            barChartAggregatedFieldWells: {
              category: [text(id, 'device.gatewayid')],
              values: [aggregate(id, 'ts', 'COUNT')],
            },
          },
        },
      },
    }),
    width: GRID_COLUMNS / 3,
    height: 12,
  },
  {
    id: 'last-messages',
    title: 'Last received messages',
    visual: (id, title) => ({
      tableVisual: {
        ...titled(id, title),
        chartConfiguration: {
          fieldWells: {
            tableUnaggregatedFieldWells: {
              values: LAST_MESSAGES.map((name) => ({ fieldId: field(id, name), column: column(name) })),
            },
          },
          sortConfiguration: { rowSort: [{ fieldSort: { fieldId: field(id, 'time'), direction: 'DESC' } }] },
        },
      },
    }),
    width: (GRID_COLUMNS * 2) / 3,
    height: 12,
  },
  byMinute('s1-temperature', 'S1: temperature, °C', 'temperature', 'S1_Sensor'),
  byMinute('hobomx-temperature', 'HoboMX: temperature, °C', 'temperature', 'HoboMX100'),
  byMinute('ruuvitag-temperature', 'RuuviTag: temperature, °C', 'temperature', 'RuuviTag'),
  byMinute('ruuvitag-humidity', 'RuuviTag: relative humidity, %', 'humidity', 'RuuviTag'),
  {
    ...byMinute('rs40-occupancy', 'RS40: occupancy', 'occupancy', 'RS40_Occupancy_Sensor'),
    width: GRID_COLUMNS,
  },
];

/** Rows are filled from left to right; the next begins below the highest of the last. */
function grid(): quicksight.CfnAnalysis.GridLayoutElementProperty[] {
  let [left, top, next] = [0, 0, 0];
  return PANELS.map(({ id, width, height }) => {
    if (left + width > GRID_COLUMNS) [left, top] = [0, next];
    const element = {
      elementId: id,
      elementType: 'VISUAL',
      columnIndex: left,
      columnSpan: width,
      rowIndex: top,
      rowSpan: height,
    };
    left += width;
    next = Math.max(next, top + height);
    return element;
  });
}

const onlyModel = (visualId: string, model: ModelName): FilterGroup => ({
  filterGroupId: `${visualId}-model`,
  crossDataset: 'SINGLE_DATASET',
  status: 'ENABLED',
  scopeConfiguration: {
    selectedSheets: {
      sheetVisualScopingConfigurations: [{ sheetId: SHEET, scope: 'SELECTED_VISUALS', visualIds: [visualId] }],
    },
  },
  filters: [
    {
      categoryFilter: {
        filterId: `${visualId}-model-is`,
        column: column('model'),
        configuration: { filterListConfiguration: { matchOperator: 'CONTAINS', categoryValues: [model] } },
      },
    },
  ],
});

/** The definition, on a data set. */
export function definition(dataSetArn: string): quicksight.CfnAnalysis.AnalysisDefinitionProperty {
  return {
    dataSetIdentifierDeclarations: [{ identifier: PLACEHOLDER, dataSetArn }],
    sheets: [
      {
        sheetId: SHEET,
        name: 'Devices',
        contentType: 'INTERACTIVE',
        visuals: PANELS.map((panel) => panel.visual(panel.id, panel.title)),
        layouts: [{ configuration: { gridLayout: { elements: grid() } } }],
      },
    ],
    filterGroups: PANELS.flatMap(({ id, model }) => (model === undefined ? [] : [onlyModel(id, model)])),
  };
}
