"""What pydantic found, in the words of the plan: one line a problem, with its key."""

import re
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from migration_kit.errors import did_you_mean, listing, nearest, quote

_KINDS = {
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "dict_type": "a mapping (key: value)",
    "tuple_type": "a list",
    "list_type": "a list",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "date_type": "a date as YYYY-MM-DD",
    "date_parsing": "a date as YYYY-MM-DD",
    "date_from_datetime_parsing": "a date as YYYY-MM-DD",
    "date_from_datetime_inexact": "a date as YYYY-MM-DD, without a time",
}


def describe(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return the problems as lines "criteria.0.margin: found 1.5, expected less than 1".

    A validator may raise a ValueError of several lines "key: text"; each becomes a line under the validator's own key.
    """
    lines = []
    every = error.errors(include_url=False)
    for found in every:
        inner = any(len(other["loc"]) > len(found["loc"]) and other["loc"][: len(found["loc"])] == found["loc"]
                    for other in every)
        if (found["type"] == "too_short" and inner) or _misspelt(found, every):
            continue
        key = ".".join(str(part) for part in found["loc"])
        lines += [f"{key}.{text}" if key and _names_a_key(text) else f"{key}: {text}" if key else text
                  for text in _text(found, model).splitlines()]
    return lines


def _misspelt(found: dict[str, Any], every: list[dict[str, Any]]) -> bool:
    """Tell whether a missing key stands beside an unknown one that is near in name, which is told already."""
    if found["type"] != "missing":
        return False
    *place, key = found["loc"]
    beside = [str(one["loc"][-1]) for one in every
              if one["type"] == "extra_forbidden" and list(one["loc"][:-1]) == place]
    return any(nearest(name, [key]) for name in beside)


def _names_a_key(text: str) -> bool:
    head = text.split(":", 1)[0]
    return ":" in text and " " not in head and "'" not in head


def _text(found: dict[str, Any], model: type[BaseModel]) -> str:
    kind, value, context = found["type"], found["input"], found.get("ctx", {})
    if kind == "extra_forbidden":
        valid = _fields(found["loc"][:-1], model)
        hint = did_you_mean(str(found["loc"][-1]), valid)
        return f"this key is not known{hint}; expected one of {listing(valid, 20)}"
    if kind == "invalid_key":
        return f"the key {quote(found['loc'][-1])} is not text; put it in quotes"
    if kind == "missing":
        return "is missing; it is required"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        valid = [word.strip("' ") for word in context["expected"].replace(" or ", ",").split(",")]
        return f"found {quote(value)}, expected one of {listing(valid)}{did_you_mean(str(value), valid)}"
    if kind == "too_short":
        return f"found {context['actual_length']} entries, expected at least {context['min_length']}"
    if kind == "string_too_short":
        return "is empty; expected text"
    if value is None:
        return f"is empty; expected {_KINDS.get(kind, 'a value')}, or leave the key out where it has a default"
    expected = _KINDS.get(kind) or found["msg"].removeprefix("Input should be ")
    return f"found {quote(value)}, expected {expected}{_percent(value) if kind == 'float_parsing' else ''}"


def _percent(value: Any) -> str:
    """Say how a share written in percent is written as a number; nothing where it is none."""
    number = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*%", str(value).strip())
    return f"; write {float(number[1]) / 100:g} for {number[1]}%" if number else ""


def _fields(loc: tuple[Any, ...], model: type[BaseModel]) -> list[str]:
    """Return the keys that may stand at a place of the plan."""
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
