"""Reads one table of a lake with DuckDB, Polars and PyArrow, and holds what they see against each other.

    read_lake.py LAKE TABLE          for each reader: its name, the number of rows, a SHA-256 of all values
    read_lake.py LAKE TABLE --dump   the rows as NDJSON, once all readers agree

A row is written in a form that depends on the reader in nothing: an object of the columns that are not NULL, sorted by
name, each value a pair of a letter and a text. d: the 64 bits of a double in hexadecimal; i: an integer; b: a boolean;
s: text; t: microseconds since 1970; x: bytes in hexadecimal. Rows are sorted by _source and _record. The exit code is 1
if the readers differ.
"""

import argparse
import hashlib
import json
import struct
import sys
from pathlib import Path

import duckdb
import polars
import pyarrow
import pyarrow.dataset
import pyarrow.types

KEYS = ["year", "month", "day", "hour"]


def with_duckdb(folder, files):
    connection = duckdb.connect()
    types = ", ".join(f"'{key}': VARCHAR" for key in KEYS)
    relation = connection.sql(
        f"SELECT * FROM read_parquet($files, union_by_name = true, hive_partitioning = true, hive_types = {{{types}}})",
        params={"files": [str(file) for file in files]},
    )
    return relation.to_arrow_table()


def with_polars(folder, files):
    keys = {key: polars.String for key in KEYS}
    frames = [polars.read_parquet(file, hive_partitioning=True, hive_schema=keys) for file in files]
    return polars.concat(frames, how="diagonal").to_arrow()


def with_pyarrow(folder, files):
    keys = pyarrow.dataset.partitioning(pyarrow.schema([(key, pyarrow.string()) for key in KEYS]), flavor="hive")

    def dataset(schema):
        return pyarrow.dataset.dataset(
            [str(file) for file in files],
            format="parquet",
            partitioning=keys,
            partition_base_dir=str(folder),
            schema=schema,
        )

    schemas = [fragment.physical_schema for fragment in dataset(None).get_fragments()]
    # A file's metadata is its own; only the columns are the table's.
    schemas = [schema.remove_metadata() for schema in schemas] + [keys.schema]
    return dataset(pyarrow.unify_schemas(schemas)).to_table()


READERS = {"duckdb": with_duckdb, "polars": with_polars, "pyarrow": with_pyarrow}


def canonical(column):
    """The values of an Arrow column as pairs, None for NULL."""
    ty = column.type
    if pyarrow.types.is_dictionary(ty):
        return canonical(column.cast(ty.value_type))
    if pyarrow.types.is_float64(ty):
        letter, show = "d", lambda value: struct.pack(">d", value).hex()
    elif pyarrow.types.is_boolean(ty):
        letter, show = "b", lambda value: str(value).lower()
    elif pyarrow.types.is_int64(ty):
        letter, show = "i", str
    elif pyarrow.types.is_timestamp(ty):
        if ty.unit != "us" or ty.tz is None:
            raise TypeError(f"a timestamp is read as {ty}")
        column, letter, show = column.cast(pyarrow.int64()), "t", str
    elif pyarrow.types.is_string(ty) or pyarrow.types.is_large_string(ty) or pyarrow.types.is_string_view(ty):
        letter, show = "s", str
    elif pyarrow.types.is_binary(ty) or pyarrow.types.is_large_binary(ty) or pyarrow.types.is_binary_view(ty):
        letter, show = "x", bytes.hex
    else:
        raise TypeError(f"no file of a lake holds {ty}")
    return [None if value is None else [letter, show(value)] for value in column.to_pylist()]


def rows(table):
    """The rows as canonical texts, in the order of the sources."""
    columns = {name: canonical(table.column(name)) for name in sorted(table.column_names)}
    order = sorted(range(table.num_rows), key=lambda row: (columns["_source"][row][1], int(columns["_record"][row][1])))
    for row in order:
        values = {name: column[row] for name, column in columns.items() if column[row] is not None}
        yield json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lake", type=Path)
    parser.add_argument("table")
    parser.add_argument("--dump", action="store_true", help="write the rows as NDJSON")
    arguments = parser.parse_args()

    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    folder = arguments.lake / arguments.table
    files = sorted(folder.glob("**/*.parquet"))
    if not files:
        print(f"{folder}: no files", file=sys.stderr)
        return 2
    seen = {name: list(rows(read(folder, files))) for name, read in READERS.items()}
    sums = {}
    for name, texts in seen.items():
        digest = hashlib.sha256("\n".join(texts).encode("utf-8", "surrogatepass"))
        sums[name] = (len(texts), digest.hexdigest())
        print(name, *sums[name], file=sys.stderr if arguments.dump else sys.stdout)
    if len(set(sums.values())) > 1:
        first, *others = seen
        for other in others:
            pairs = enumerate(zip(seen[first], seen[other]))
            at = next((at for at, (a, b) in pairs if a != b), None)
            if at is not None:
                print(f"row {at}\n  {first}: {seen[first][at]}\n  {other}: {seen[other][at]}", file=sys.stderr)
        print("the readers differ", file=sys.stderr)
        return 1
    if arguments.dump:
        for text in seen["pyarrow"]:
            print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
