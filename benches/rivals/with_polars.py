"""Polars: a lazy scan with a given schema, unnested and sunk by the streaming engine."""

import sys

import polars as pl

import shape

KINDS = {"double": pl.Float64, "bigint": pl.Int64, "boolean": pl.Boolean, "string": pl.String}


def kind_of(below):
    return KINDS[below] if isinstance(below, str) else pl.Struct({key: kind_of(kind) for key, kind in below.items()})


source, out, mode, fields, codec = sys.argv[1:]
fields = shape.load(fields)


def column(keys):
    found = pl.col(keys[0])
    for key in keys[1:]:
        found = found.struct.field(key)
    return found.alias(shape.name(keys))


schema = {key: kind_of(kind) for key, kind in shape.tree(fields).items()}
frame = pl.scan_ndjson(source, schema=schema, batch_size=None).select([column(keys) for keys in fields])
level = {"compression_level": 1} if codec == "zstd" else {}
if mode == "hours":
    time = pl.from_epoch("ts", time_unit="ms")
    forms = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H"}
    out = pl.PartitionBy(out, key={name: time.dt.strftime(form) for name, form in forms.items()}, include_key=False)
frame.sink_parquet(out, compression=codec, maintain_order=False, mkdir=True, engine="streaming", **level)
