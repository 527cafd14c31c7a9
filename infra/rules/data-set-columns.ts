/**
 * "Name: The name of this column in the underlying data source. Maximum: 128. Type: Allowed values: BIT | BOOLEAN |
 * DATETIME | DECIMAL | INTEGER | JSON | STRING."
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-quicksight-dataset-inputcolumn.html
 */
import type { Rule } from './rule';
import { at, list, text, within } from './template';

const TYPES = ['BIT', 'BOOLEAN', 'DATETIME', 'DECIMAL', 'INTEGER', 'JSON', 'STRING'];
const LONGEST = 128;

export const rule: Rule = {
  check(template) {
    return template.of('AWS::QuickSight::DataSet').flatMap(({ id, properties }) =>
      [...within(properties['PhysicalTableMap'])]
        .flatMap((each) => list(each['Columns']))
        .filter((column) => text(at(column, 'Name')).length > LONGEST || !TYPES.includes(text(at(column, 'Type'))))
        .map(
          (column) => `${id}: QuickSight takes no column ${text(at(column, 'Name'))} of ${text(at(column, 'Type'))}`,
        ),
    );
  },
};
