"""read_s3.py ENDPOINT: runs DuckDB's snippet for a lake on S3 as it stands, against the server that stands in for S3.

In comes the snippet, on standard input; its last statement's answer becomes answer.parquet. Extensions are those of the
Python environment: none is fetched.
"""

import pathlib
import sys
from urllib.parse import urlsplit

import duckdb
import duckdb_ext

connection = duckdb.connect()
extensions = pathlib.Path(next(iter(duckdb_ext.__path__))) / "extensions"
connection.execute("SET extension_directory = ?", [str(extensions)])
connection.execute("SET autoinstall_known_extensions = false")
*before, last = connection.extract_statements(sys.stdin.read())
for statement in before:
    connection.execute(statement)
# Where the stand-in is, DuckDB is told by a secret only.
endpoint = urlsplit(sys.argv[1]).netloc
connection.execute(
    "CREATE OR REPLACE SECRET (TYPE s3, PROVIDER credential_chain, "
    f"ENDPOINT '{endpoint}', URL_STYLE 'path', USE_SSL false)"
)
connection.sql(last.query).write_parquet("answer.parquet")
