"""Runs the snippets of a page as they stand, and says what each of them reads.

In comes, on standard input, a JSON list of snippets: {"line", "language", "marks", "text"}. Out comes a line of JSON for
each: {"line", "did"}, where `did` is "read" with the "rows" and the "sha256" of what a snippet has in `events` (see
read_lake.py), "answered" with the "rows" of SQL that asks for something else, "ran" where there is neither, "parsed" where it is marked as one that needs AWS or its reader is not
installed, and "failed" with the "error". Snippets run in the current folder, each for itself.
"""

import contextlib
import hashlib
import importlib.util
import json
import pathlib
import sys
import traceback

import duckdb
import pyarrow
import pyarrow.dataset
import sqlglot

import read_lake

# Large, and in want of a Java: it is run where it is installed.
OPTIONAL = ["pyspark"]


def to_arrow(events):
    """What a reader calls its rows, as a table of Arrow."""
    kind = f"{type(events).__module__.split('.')[0]}.{type(events).__name__}"
    if isinstance(events, pyarrow.Table):
        return events
    if isinstance(events, pyarrow.dataset.Dataset):
        return events.to_table()
    if kind == "pandas.DataFrame":
        return pyarrow.Table.from_pandas(events, preserve_index=False)
    if kind == "polars.LazyFrame":
        return events.collect().to_arrow()
    if kind == "pyspark.DataFrame":
        return events.toArrow()
    return events.to_arrow_table()


def read(events):
    rows = list(read_lake.rows(to_arrow(events)))
    digest = hashlib.sha256("\n".join(rows).encode("utf-8", "surrogatepass")).hexdigest()
    return {"did": "read", "rows": len(rows), "sha256": digest}


def python(snippet):
    code = compile(snippet["text"], f"line {snippet['line']}", "exec")
    missing = [name for name in OPTIONAL if f"from {name}" in snippet["text"] and not importlib.util.find_spec(name)]
    if missing or "aws" in snippet["marks"]:
        return {"did": "parsed"}
    names = {}
    exec(code, names)
    return read(names["events"]) if "events" in names else {"did": "ran"}


def answer(relation):
    return {"did": "answered", "rows": [list(row) for row in relation.fetchall()]}


def sql(snippet):
    """SQL of DuckDB, or of Athena, which is parsed in its own dialect and runs in DuckDB's."""
    text = snippet["text"]
    if "athena" in snippet["marks"]:
        connection = duckdb.connect()
        options = "union_by_name = true, hive_partitioning = true, hive_types_autocast = false"
        for table in pathlib.Path("lake").glob("[!_]*"):
            connection.sql(f"CREATE VIEW {table.name} AS FROM read_parquet('{table}/**/*.parquet', {options})")
        (statement,) = sqlglot.transpile(text, read="athena", write="duckdb")
        return answer(connection.sql(statement))
    if "aws" in snippet["marks"]:
        duckdb.connect().extract_statements(text)
        return {"did": "parsed"}
    relation = duckdb.sql(text)
    return read(relation) if "_source" in relation.columns else answer(relation)


def main():
    for snippet in json.load(sys.stdin):
        run = {"python": python, "sql": sql}[snippet["language"]]
        try:
            # What it prints is not the answer.
            with contextlib.redirect_stdout(sys.stderr):
                did = run(snippet)
        except Exception:
            did = {"did": "failed", "error": traceback.format_exc()}
        print(json.dumps({"line": snippet["line"], **did}, default=str))


if __name__ == "__main__":
    main()
