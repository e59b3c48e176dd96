"""YAML as people expect it: `no` is a word, `007` and dates are text, and a key may stand once."""

import re
from pathlib import Path
from typing import Any

import yaml

from migration_kit.errors import InputError, quote

_PLAIN = {
    "tag:yaml.org,2002:bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "tag:yaml.org,2002:int": (r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    "tag:yaml.org,2002:float": (
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
}
# What a message of the parser mostly means; its context began at that line and column.
HINTS = {
    "\\t": "tabs cannot indent in YAML, use spaces",
    "parsing a block": "lines that belong together begin in the same column, here column {column} as in line {line}",
    "parsing a flow": "a bracket or brace opened in line {line} is not closed, or a comma is missing",
    "quoted scalar": "a quote opened in line {line} is not closed",
    "mapping values are not allowed": "the line begins too far to the right, or a text with a colon needs quotes",
}


class _Loader(yaml.SafeLoader):
    """YAML 1.2 words and numbers; YAML 1.1 would make `no` (Norway) a boolean and `12:30` a number."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML's own class attribute)
        first: [(tag, pattern) for tag, pattern in pairs if tag not in _PLAIN and not tag.endswith(":timestamp")]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag.endswith(":merge"):
                continue
            line = key_node.start_mark.line + 1
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"the key {quote(key_node.value)} stands twice, first in line {seen[key_node.value]}; keep one",
                    key_node.start_mark,
                )
            seen[key_node.value] = line
        return super().construct_mapping(node, deep=deep)


for _tag, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), list(_first))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Raises
    ------
    InputError
        No such file, not UTF-8, not YAML (with line and column), a key that stands twice, or not a mapping.
    """
    name = path.name
    if path.is_dir():
        plans = sorted(path.glob("*.yml")) + sorted(path.glob("*.yaml"))
        hint = f"; did you mean {plans[0]}?" if plans else ""
        raise InputError(f"{path}: is a folder; expected the plan, a YAML file{hint}")
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
    except FileNotFoundError:
        near = sorted(path.parent.glob("*.yml")) if path.parent.is_dir() else []
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"{path}: there is no such file; expected the plan, a YAML file{hint}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{name}: line {line} is not UTF-8; save the file with the encoding UTF-8") from None
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise InputError(f"{name}: {_place(error)}{_reason(error)}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{name}: is not YAML: {' '.join(str(error).split())}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: holds a value YAML cannot read: {error}") from None
    if content is None:
        raise InputError(f"{name}: is empty; expected a mapping with title, models, data and criteria")
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else f"the text {quote(content)}"
        raise InputError(f"{name}: expected a mapping (key: value, one a line), found {kind}")
    return content


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


def _reason(error: yaml.MarkedYAMLError) -> str:
    problem, start = " ".join(filter(None, [error.context, error.problem])), error.context_mark
    hint = next((hint for words, hint in HINTS.items() if words in problem), "")
    if start:
        hint = hint.format(line=start.line + 1, column=start.column + 1)
    return f"{problem}; {hint}" if hint else problem
