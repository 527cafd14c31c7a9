"""Statements as Athena reads them: parsed in its dialect, every name resolved and every type told.

In comes JSON on standard input: `tables` (columns and their types by table) and `statements` (SQL by name). Out comes, for
each statement, the names and types of its columns, or what is wrong with it.
"""

import json
import sys

import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.optimizer import annotate_types, qualify

DIALECT = "athena"
# Functions that it reads and knows no type of.
TYPES = {
    **Dialect.get_or_raise(DIALECT).EXPRESSION_METADATA,
    exp.SplitPart: {"returns": exp.DType.VARCHAR},
    exp.TimestampTrunc: {"returns": exp.DType.TIMESTAMP},
    exp.DateTrunc: {"returns": exp.DType.TIMESTAMP},
}


def columns_of(sql, schema):
    statements = sqlglot.parse(sql, read=DIALECT)
    if len(statements) != 1:
        raise SqlglotError(f"{len(statements)} statements, not one")
    if any(isinstance(each, exp.Command) for each in statements[0].walk()):
        raise SqlglotError("not understood, only passed on")
    unknown = sorted({each.name for each in statements[0].find_all(exp.Anonymous)})
    if unknown:
        raise SqlglotError(f"unknown functions: {', '.join(unknown)}")
    # Names are resolved against the schema; one that is not there, or is there twice, is an error.
    resolved = qualify.qualify(
        statements[0], schema=schema, dialect=DIALECT, validate_qualify_columns=True
    )
    typed = annotate_types.annotate_types(resolved, schema=schema, expression_metadata=TYPES, dialect=DIALECT)
    return [[each.alias_or_name, each.type.sql(DIALECT).lower()] for each in typed.selects]


def main():
    given = json.load(sys.stdin)
    schema = sqlglot.schema.MappingSchema(given["tables"], dialect=DIALECT)
    answers = {}
    for name, sql in given["statements"].items():
        try:
            answers[name] = {"columns": columns_of(sql, schema)}
        except SqlglotError as error:
            answers[name] = {"error": str(error)}
    json.dump(answers, sys.stdout)


main()
