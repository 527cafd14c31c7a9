"""DuckDB: read_json with given types, so that nothing is sniffed; no order to keep; a partitioned COPY."""

import sys

import duckdb

import shape

KINDS = {"double": "DOUBLE", "bigint": "BIGINT", "boolean": "BOOLEAN", "string": "VARCHAR"}


def kind_of(below):
    if isinstance(below, str):
        return KINDS[below]
    return "STRUCT(" + ", ".join(f'"{key}" {kind_of(kind)}' for key, kind in below.items()) + ")"


source, out, mode, fields, codec = sys.argv[1:]
fields = shape.load(fields)
types = ", ".join(f"'{key}': '{kind_of(kind)}'" for key, kind in shape.tree(fields).items())
columns = [".".join(f'"{key}"' for key in keys) + f' AS "{shape.name(keys)}"' for keys in fields]
options = f"FORMAT parquet, COMPRESSION {codec}" + (", COMPRESSION_LEVEL 1" if codec == "zstd" else "")
if mode == "hours":
    columns += [
        f"strftime(make_timestamp(ts * 1000), '{form}') AS {column}"
        for column, form in [("year", "%Y"), ("month", "%m"), ("day", "%d"), ("hour", "%H")]
    ]
    options += ", PARTITION_BY (year, month, day, hour)"
connection = duckdb.connect()
connection.execute("SET preserve_insertion_order = false")
connection.execute(
    f"COPY (SELECT {', '.join(columns)} FROM read_json('{source}', format = 'newline_delimited', "
    f"columns = {{{types}}})) TO '{out}' ({options})"
)
