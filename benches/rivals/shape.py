"""The leaf fields of a set of messages: what every program is told before it starts, so that none has to guess.

A leaf has a path and a type, one of `double`, `bigint` (only `ts`), `boolean` and `string`. Data sets are chosen so that
a path has one type, since most programs cannot say anything else.
"""

import json


def leaves(path, lines):
    """The leaves of the first lines of a file, in order of their first appearance: {path: type}."""
    found = {}

    def visit(value, keys):
        if isinstance(value, dict):
            for key, below in value.items():
                visit(below, keys + (key,))
            return
        kind = {bool: "boolean", str: "string", int: "double", float: "double"}[type(value)]
        kind = "bigint" if keys == ("ts",) else kind
        if found.setdefault(keys, kind) != kind:
            raise SystemExit(f"{path}: {keys} is {found[keys]} and {kind}")

    with open(path, "rb") as messages:
        for _, line in zip(range(lines), messages):
            visit(json.loads(line), ())
    return found


def name(keys):
    """The name of the column: that which iotlake gives it."""
    return ".".join(keys).lower()


def tree(fields):
    """The leaves as nested objects: {key: type or object}."""
    root = {}
    for keys, kind in fields.items():
        at = root
        for key in keys[:-1]:
            at = at.setdefault(key, {})
        at[keys[-1]] = kind
    return root


def save(fields, path):
    with open(path, "w") as out:
        json.dump([[list(keys), kind] for keys, kind in fields.items()], out)


def load(path):
    with open(path) as text:
        return {tuple(keys): kind for keys, kind in json.load(text)}
