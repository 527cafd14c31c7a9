"""iotlake beside what a user would pick instead, on the same work: NDJSON to flat Parquet.

Every program reads the same file and writes every leaf field as a column, by hour or into one file, with the same codec.
They run in alternation, each as a process of its own, with as many threads as it wants; CPU seconds, peak memory and wall
time are what the kernel counted for the process and those that it waited for. What each wrote is read back by DuckDB, in a
process of its own too (the kernel counts a child's memory from what its parent has): row counts and a checksum of every
column have to be equal, or the table is not printed. Use `make rivals`.
"""

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import shape

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = ROOT / "target/rivals"
# Ours as its users have it; what is measured beside it with everything optimised.
BIN = ROOT / "target/release"
FIGURES = ROOT / "target/figures"
IOTLAKE = "iotlake"


def spark(source, out, mode, fields, codec):
    home = Path(importlib.util.find_spec("pyspark").origin).parent
    conf = {"spark.ui.enabled": "false", "spark.sql.session.timeZone": "UTC"}
    if codec == "zstd":
        conf["spark.hadoop.parquet.compression.codec.zstd.level"] = "1"
    options = [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]
    submit = [home / "bin/spark-submit", "--master", "local[*]", "--driver-memory", "8g", *options]
    return [*submit, HERE / "with_spark.py", source, out, mode, fields, codec]


def python(script):
    return lambda *arguments: [sys.executable, HERE / script, *arguments]


def backfill(source, out, mode, fields, codec):
    by = "event:ts" if mode == "hours" else "arrival"
    command = [BIN / "iotlake", "backfill", source, "--lake", out, "--table", "rows", "--compression", codec]
    # The rivals are told the types of all columns; so is iotlake where that is more than it allows to be discovered.
    contract = ["--contract", contract_of(fields)] if len(shape.load(fields)) > 256 else []
    return [*command, "--partition-by", by, "--quiet", *contract]


def convert(source, out, mode, fields, codec):
    return [BIN / "iotlake", "convert", source, f"{out}.parquet", "--compression", codec]


def contract_of(fields):
    path = Path(fields).with_suffix(".toml")
    with open(path, "w") as out:
        for keys, kind in shape.load(fields).items():
            out.write(f"[[column]]\npath = {list(keys)}\ntype = \"{kind}\"\n".replace("'", '"'))
    return path


def arrow_json(source, out, mode, fields, codec):
    return [FIGURES / "arrow_json", source, out, mode, fields, codec]


# What runs on each data set: name, how, mode. The first is what the others are compared with.
HOURS = [
    (IOTLAKE, backfill, "hours"),
    ("DuckDB", python("with_duckdb.py"), "hours"),
    ("Polars", python("with_polars.py"), "hours"),
    ("PySpark", spark, "hours"),
    ("arrow-json", arrow_json, "hours"),
]
ONE = [
    ("DuckDB, one file", python("with_duckdb.py"), "one"),
    ("Polars, one file", python("with_polars.py"), "one"),
    ("PySpark, one file", spark, "one"),
    ("arrow-json, one file", arrow_json, "one"),
]
SETS = {
    "kit": [*HOURS, *ONE, ("iotlake convert, one file", convert, "one")],
    "wide": [("iotlake, one hour", backfill, "one"), *ONE],
    "sparse": [("iotlake, one hour", backfill, "one"), *ONE],
    "strings": [("iotlake, one hour", backfill, "one"), *ONE],
}


def run(command, log):
    """Seconds of CPU, seconds by the wall, and peak memory in bytes."""
    with open(log, "w") as out:
        begin = time.monotonic()
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{Path(log).read_text()[-3000:]}")
    return used.ru_utime + used.ru_stime, wall, used.ru_maxrss * 1024


def written(out):
    """The Parquet files of a run."""
    if out.with_suffix(".parquet").is_file():
        return [out.with_suffix(".parquet")]
    if out.is_file():
        return [out]
    rows = out / "rows"
    return sorted((rows if rows.is_dir() else out).rglob("*.parquet"))


def answer(files, fields):
    """Row count, and for each column how many values it has and the sum of their hashes."""
    sums = ["count(*)"]
    for keys, kind in fields.items():
        column = f'"{shape.name(keys)}"'
        value = f"{column}::DOUBLE" if kind in ("double", "bigint") else f"{column}::VARCHAR"
        sums += [f"count({column})", f"sum(hash({value}))::VARCHAR"]
    names = ", ".join(f"'{file}'" for file in files)
    query = f"SELECT {', '.join(sums)} FROM read_parquet([{names}], union_by_name = true, hive_partitioning = false)"
    ask = "import duckdb, json, sys; duckdb.execute('SET enable_progress_bar = false'); print(json.dumps(duckdb.execute(sys.stdin.read()).fetchone()))"
    asked = subprocess.run([sys.executable, "-c", ask], input=query, capture_output=True, text=True, check=True)
    row = json.loads(asked.stdout)
    return row[0], {shape.name(keys): row[1 + 2 * at : 3 + 2 * at] for at, keys in enumerate(fields)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bytes", default="500MB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--codec", choices=["snappy", "zstd"], default="snappy")
    parser.add_argument("--set", action="append", choices=SETS)
    parser.add_argument("--only", action="append", help="programs whose name begins so, beside iotlake")
    arguments = parser.parse_args()
    shutil.rmtree(WORK, ignore_errors=True)
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("duckdb", "polars", "pyspark")]
    print(f"{datetime.date.today()}, {os.cpu_count()} cores, {platform.machine()}, {', '.join(versions)}, {arguments.codec}")
    for name in arguments.set or SETS:
        compare(name, arguments)


def compare(name, arguments):
    # An hour in its key: where rows are filed that are not filed by their own time.
    source = WORK / name / "2026/03/01/08" / f"{name}.ndjson"
    source.parent.mkdir(parents=True)
    made = [FIGURES / "iotlake-fixtures", "ndjson", "--bytes", arguments.bytes, "--shape", name, "--out", source]
    subprocess.run(made, check=True, stderr=subprocess.DEVNULL)
    fields = shape.leaves(source, 20_000)
    told = WORK / name / "fields.json"
    shape.save(fields, told)
    programs = SETS[name]
    if arguments.only:
        wanted = tuple(arguments.only)
        programs = programs[:1] + [program for program in programs[1:] if program[0].startswith(wanted)]
    figures = {program: [] for program, _, _ in programs}
    sizes, first = {}, None
    for number in range(arguments.rounds):
        for program, command, mode in programs:
            out = WORK / name / "out"
            for old in (out, out.with_suffix(".parquet")):
                shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
            figures[program].append(run(command(source, out, mode, told, arguments.codec), WORK / name / "log"))
            if number == 0:
                files = written(out)
                sizes[program] = (sum(file.stat().st_size for file in files), len(files))
                found = answer(files, fields)
                if first is None:
                    first = found
                elif found != first:
                    wrong = [column for column, sums in found[1].items() if sums != first[1][column]]
                    sys.exit(f"{name}: {program} has {found[0]} rows, not {first[0]}, and other values in {wrong}")
    rows = first[0]
    size = source.stat().st_size
    print(f"\n**{name}**: {size / 1e6:.0f} MB, {rows} messages, {len(fields)} columns; all agree\n", flush=True)
    print("| program | CPU s | x | wall s | peak MB | MB written | files |\n|---|---|---|---|---|---|---|")
    ours = figures[programs[0][0]]
    for program, _, _ in programs:
        ratio = statistics.median(theirs[0] / mine[0] for theirs, mine in zip(figures[program], ours))
        cpu, wall, peak = ([run[at] for run in figures[program]] for at in range(3))

        def spread(values):
            return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"

        written_bytes, files = sizes[program]
        print(
            f"| {program} | {spread(cpu)} | {ratio:.2f} | {spread(wall)} | {statistics.median(peak) / 1e6:.0f} "
            f"| {written_bytes / 1e6:.1f} | {files} |"
        )
    sys.stdout.flush()
    shutil.rmtree(WORK / name)


main()
