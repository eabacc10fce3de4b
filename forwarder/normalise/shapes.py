"""
The payload shapes that need no template are one tree of rules. They may come mixed, in part, and in any order.

They are the report of the device's REST API, its live stream, whatwatt's Home Assistant integration, and keys that are
the variables' own names, flat (`"1_7_0"`, `"power.in"`) or nested (`{"sys": {"id": …}}`, `{"Sys": {"Id": …}}`).
"""

from collections.abc import Iterator
from functools import cache
from typing import TypeAlias

from forwarder.normalise.rules import UNKNOWN, Fields, Leaf, Rule, Volumes
from forwarder.variables import Use, Variable, variable_named, variables

Tree: TypeAlias = "dict[str, Tree | Rule]"


@cache
def known_shapes() -> Fields:
    """The rule that reads every known shape."""
    tree: Tree = {}
    for variable in variables():
        if variable.section != "volumes":
            for path in _paths(variable):
                _plant(tree, path, Leaf(Use(variable), ".".join(path)))
    for path, rule in _volume_arrays():
        _plant(tree, path, rule)
    return _fields(tree)


def _paths(variable: Variable) -> Iterator[tuple[str, ...]]:
    """Every place in which the known shapes put a variable."""
    names = (variable.variable, variable.alias)
    flat = {*names, variable.obis, variable.live_field, variable.ha_field}
    if variable.section == "measurements":
        flat.add(variable.name)
    nested = [name for name in names if "." in name] + [variable.report_path]
    paths = {(key,) for key in flat} | {tuple(path.split(".")) for path in nested}
    paths |= {tuple(map(_camel_case, name.split("."))) for name in names if "." in name}
    yield from sorted(paths - {("",)})


def _camel_case(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _volume_arrays() -> Iterator[tuple[tuple[str, ...], Rule]]:
    volumes = [variable for variable in variables() if variable.section == "volumes"]
    for column in ("variable", "live_field", "report_path"):
        fields = {getattr(v, column).partition("[n].")[2]: Use(v) for v in volumes}
        array = getattr(volumes[0], column).partition("[n].")[0]
        yield tuple(array.split(".")), Volumes(fields, array)


def _plant(tree: Tree, path: tuple[str, ...], rule: Rule) -> None:
    *parents, key = path
    for parent in parents:
        branch = tree.setdefault(parent, {})
        if not isinstance(branch, dict):
            raise ValueError(  # noqa: TRY004 - the table is wrong, not a type
                f"variables.csv: {'.'.join(path)} lies below another variable"
            )
        tree = branch
    if key in tree:
        raise ValueError(f"variables.csv: {'.'.join(path)} is the place of two variables")
    tree[key] = rule


def _fields(tree: Tree) -> Fields:
    rules = {
        key: _fields(branch) if isinstance(branch, dict) else branch for key, branch in tree.items()
    }
    return Fields(rules, other=_flat_volume)


def _flat_volume(key: str) -> Rule:
    """The rule of a key such as `vol[3].bus`, for any number."""
    use = variable_named(key) if key.startswith("vol[") else None
    return Leaf(use, key) if use else UNKNOWN
