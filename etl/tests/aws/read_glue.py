"""Reads one table of a lake as people with an AWS account do: through its table in the Glue Data Catalog, over S3.

    read_glue.py DATABASE TABLE RESULTS_BUCKET

The address and the credentials of AWS come from the usual variables. Three readers: aws-sdk-pandas; DuckDB over a
dataset of exactly the partitions and the columns that Glue knows; Athena, as far as what stands in for it goes (it reads
the files under the table's location with DuckDB). Out comes, as JSON: the columns that Glue tells, the partitions, and
for each reader the number of rows and for each column a SHA-256 of its values.

A value is written in a form that depends on the reader in nothing: a letter and a text, - for NULL; d: the 64 bits of a
double in hexadecimal; i: an integer; b: a boolean; s: text; t: microseconds since 1970; x: bytes in hexadecimal. Before
each goes into the digest the number of its bytes and a colon, behind it a comma. Rows are in the order of _source and
_record.
"""

import hashlib
import json
import os
import struct
import sys
import time

import awswrangler as wr
import boto3
import duckdb
import pyarrow
import pyarrow.compute
import pyarrow.dataset
import pyarrow.fs
import pyarrow.types

TYPES = {
    "bigint": pyarrow.int64(),
    "double": pyarrow.float64(),
    "boolean": pyarrow.bool_(),
    "string": pyarrow.string(),
    "binary": pyarrow.binary(),
    "timestamp": pyarrow.timestamp("us", tz="UTC"),
}


def described(database, table):
    """The table as Glue tells it, and all its partitions."""
    glue = boto3.client("glue")
    found = glue.get_table(DatabaseName=database, Name=table)["Table"]
    pages = glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=table)
    return found, [partition for page in pages for partition in page["Partitions"]]


def with_wrangler(database, table):
    # Unless told not to, it wants all files to have the same columns; here a file has those that its records fill.
    # With Arrow's types behind pandas an integer stays one beside NULL.
    frame = wr.s3.read_parquet_table(
        database=database, table=table, validate_schema=False, dtype_backend="pyarrow"
    )
    return pyarrow.Table.from_pandas(frame, preserve_index=False)


def with_duckdb(found, partitions):
    """Only what is registered is read, and only as the type that Glue tells."""
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    storage = pyarrow.fs.S3FileSystem(
        endpoint_override=endpoint.removeprefix("http://"), scheme="http", region=os.environ["AWS_REGION"]
    )
    columns = [(column["Name"], TYPES[column["Type"]]) for column in found["StorageDescriptor"]["Columns"]]
    keys = [key["Name"] for key in found["PartitionKeys"]]
    whole = pyarrow.schema(columns + [(key, pyarrow.string()) for key in keys])
    tables = []
    connection = duckdb.connect()
    for partition in partitions:
        folder = partition["StorageDescriptor"]["Location"].removeprefix("s3://").rstrip("/")
        files = pyarrow.dataset.dataset(folder, filesystem=storage, format="parquet", schema=pyarrow.schema(columns))
        values = ", ".join(f"'{value}' AS \"{key}\"" for key, value in zip(keys, partition["Values"]))
        connection.register("files", files)
        tables.append(connection.sql(f"SELECT *, {values} FROM files").to_arrow_table())
    return pyarrow.concat_tables([part.cast(whole) for part in tables])


def with_athena(database, table, bucket):
    """What can be asked of a stand-in: how many rows each partition has."""
    athena = boto3.client("athena")
    query = athena.start_query_execution(
        QueryString=f'SELECT year, month, day, hour, count(*) FROM "{table}" GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4',
        QueryExecutionContext={"Database": database},
        ResultConfiguration={"OutputLocation": f"s3://{bucket}/athena/"},
    )["QueryExecutionId"]
    deadline = time.monotonic() + 60
    while True:
        status = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
        if status["State"] == "SUCCEEDED":
            break
        if status["State"] not in ("QUEUED", "RUNNING") or time.monotonic() > deadline:
            raise RuntimeError(f"Athena: {status}")
        time.sleep(0.1)
    pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=query)
    rows = [[value["VarCharValue"] for value in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]]
    # The first names the columns.
    return rows[1:]


def texts(column):
    """The values of an Arrow column in the form that this file begins with."""
    ty = column.type
    if pyarrow.types.is_dictionary(ty):
        return texts(column.cast(ty.value_type))
    if pyarrow.types.is_float64(ty):
        show = lambda value: "d" + struct.pack(">d", value).hex()
    elif pyarrow.types.is_boolean(ty):
        show = lambda value: "b" + str(value).lower()
    elif pyarrow.types.is_int64(ty):
        show = lambda value: f"i{value}"
    elif pyarrow.types.is_timestamp(ty):
        column, show = column.cast(pyarrow.timestamp("us", tz="UTC")).cast(pyarrow.int64()), lambda value: f"t{value}"
    elif pyarrow.types.is_string(ty) or pyarrow.types.is_large_string(ty):
        show = lambda value: "s" + value
    elif pyarrow.types.is_binary(ty) or pyarrow.types.is_large_binary(ty):
        show = lambda value: "x" + value.hex()
    else:
        raise TypeError(f"no file of a lake holds {ty}")
    return ["-" if value is None else show(value) for value in column.to_pylist()]


def summary(table, names):
    """The number of rows, and a digest for each column; a column that the reader does not show has only NULL."""
    table = table.sort_by([("_source", "ascending"), ("_record", "ascending")])
    digests = {}
    for name in names:
        values = texts(table.column(name)) if name in table.column_names else ["-"] * table.num_rows
        digest = hashlib.sha256()
        for value in values:
            encoded = value.encode("utf-8", "surrogatepass")
            digest.update(b"%d:%s," % (len(encoded), encoded))
        digests[name] = digest.hexdigest()
    return {"rows": table.num_rows, "columns": digests}


def main():
    database, table, bucket = sys.argv[1:]
    found, partitions = described(database, table)
    names = [column["Name"] for column in found["StorageDescriptor"]["Columns"] + found["PartitionKeys"]]
    result = {
        "types": {column["Name"]: column["Type"] for column in found["StorageDescriptor"]["Columns"]},
        "partitions": sorted(partition["Values"] for partition in partitions),
        "wrangler": summary(with_wrangler(database, table), names),
        "duckdb": summary(with_duckdb(found, partitions), names),
        "athena": with_athena(database, table, bucket),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
