"""Counts and sums the rows of a table of a lake between two values of a column, with each reader's own skipping.

    read_range.py LAKE TABLE COLUMN FROM TO [FROM TO ...]

A line for each reader and range, of a column of integers: the reader, how many rows have FROM <= COLUMN < TO, and the sum
of COLUMN over them.
"""

import sys
from pathlib import Path

import duckdb
import polars
import pyarrow.compute
import pyarrow.dataset


def with_duckdb(files, column, low, high):
    sql = f"SELECT count(*), coalesce(sum({column}), 0) FROM read_parquet($files, union_by_name = true) "
    sql += f"WHERE {column} >= $low AND {column} < $high"
    return duckdb.connect().execute(sql, {"files": files, "low": low, "high": high}).fetchone()


def with_polars(files, column, low, high):
    between = polars.col(column).is_between(low, high, closed="left")
    rows = polars.scan_parquet(files, missing_columns="insert", extra_columns="ignore").filter(between)
    return rows.select(polars.len(), polars.col(column).sum()).collect().row(0)


def with_pyarrow(files, column, low, high):
    value = pyarrow.dataset.field(column)
    rows = pyarrow.dataset.dataset(files, format="parquet").to_table(
        columns=[column], filter=(value >= low) & (value < high)
    )
    return rows.num_rows, pyarrow.compute.sum(rows[column]).as_py() or 0


def main():
    lake, table, column, *bounds = sys.argv[1:]
    files = [str(file) for file in sorted(Path(lake, table).glob("year=*/month=*/day=*/hour=*/*.parquet"))]
    for name, read in {"duckdb": with_duckdb, "polars": with_polars, "pyarrow": with_pyarrow}.items():
        for low, high in zip(map(int, bounds[::2]), map(int, bounds[1::2])):
            print(name, *read(files, column, low, high))


if __name__ == "__main__":
    main()
