"""Runs the snippets of a page as they stand, and says what each of them reads.

In comes, on standard input, a JSON list of snippets: {"line", "language", "marks", "text"}. Out comes a line of JSON for
each: {"line", "did"}, where `did` is "read" with the "rows" and the "sha256" of what a snippet has in `events` (see
read_lake.py), "ran" where it has no `events`, "parsed" where it is marked as one that needs AWS or its reader is not
installed, and "failed" with the "error". Snippets run in the current folder, each for itself.
"""

import contextlib
import hashlib
import importlib.util
import json
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


def sql(snippet):
    """SQL of DuckDB, or of Athena, which is parsed in its own dialect and runs in DuckDB's."""
    text = snippet["text"]
    if "athena" in snippet["marks"]:
        connection = duckdb.connect()
        options = "union_by_name = true, hive_partitioning = true, hive_types_autocast = false"
        connection.sql(f"CREATE VIEW events AS FROM read_parquet('lake/events/**/*.parquet', {options})")
        for statement in sqlglot.transpile(text, read="athena", write="duckdb"):
            connection.sql(statement).fetchall()
        return {"did": "ran"}
    if "aws" in snippet["marks"]:
        duckdb.connect().extract_statements(text)
        return {"did": "parsed"}
    return read(duckdb.sql(text))


def main():
    for snippet in json.load(sys.stdin):
        run = {"python": python, "sql": sql}[snippet["language"]]
        try:
            # What it prints is not the answer.
            with contextlib.redirect_stdout(sys.stderr):
                answer = run(snippet)
        except Exception:
            answer = {"did": "failed", "error": traceback.format_exc()}
        print(json.dumps({"line": snippet["line"], **answer}))


if __name__ == "__main__":
    main()
