"""Spark, which is what Glue runs: a given schema, local threads, dynamic partitions without a shuffle."""

import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f
from pyspark.sql import types as t

import shape

KINDS = {"double": t.DoubleType(), "bigint": t.LongType(), "boolean": t.BooleanType(), "string": t.StringType()}


def kind_of(below):
    if isinstance(below, str):
        return KINDS[below]
    return t.StructType([t.StructField(key, kind_of(kind)) for key, kind in below.items()])


source, out, mode, fields, codec = sys.argv[1:]
fields = shape.load(fields)
spark = SparkSession.builder.appName("rival").getOrCreate()
frame = spark.read.schema(kind_of(shape.tree(fields))).json(source)
columns = [f.col(".".join(f"`{key}`" for key in keys)).alias(shape.name(keys)) for keys in fields]
if mode == "hours":
    time = f.timestamp_millis("ts")
    forms = {"year": "yyyy", "month": "MM", "day": "dd", "hour": "HH"}
    columns += [f.date_format(time, form).alias(name) for name, form in forms.items()]
frame = frame.select(columns)
if mode == "one":
    frame = frame.coalesce(1)
writer = frame.write.option("compression", codec)
if mode == "hours":
    writer = writer.partitionBy("year", "month", "day", "hour")
writer.parquet(out)
spark.stop()
