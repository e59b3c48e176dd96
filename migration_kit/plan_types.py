"""What a section of a plan is, the kinds of values its keys may hold, and what is said of others."""

import datetime
import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from migration_kit.errors import quote


def _text(value: Any) -> Any:
    if isinstance(value, bool | float):
        kind = "true or false" if isinstance(value, bool) else "a number"
        raise ValueError(f"found {value!r}, which YAML reads as {kind}; put the text in quotes")
    return str(value) if isinstance(value, int) else value


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise ValueError(f"found {quote(value)}, expected one text, number or true/false")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"found {value}, expected a finite number")
    return value


def _scalar_or_list(value: Any) -> Any:
    return tuple(_scalar(one) for one in value) if isinstance(value, list | tuple) else _scalar(value)


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"found {value!r}, expected a number")
    return value


def _date(value: Any) -> Any:
    if value is None or type(value) is datetime.date or re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(value)):
        return value
    raise ValueError(f"found {quote(value)}, expected a date as YYYY-MM-DD")


def _file_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", value):
        raise ValueError(f"found {quote(value)}, expected letters, digits, '.', '_' and '-' only (it names a file)")
    return value


def scalar_text(value: Any) -> str:
    """Return a YAML scalar as it would stand in a cell: 12.0 is "12", true is "true"."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), BeforeValidator(_text)]
Scalar = Annotated[Any, AfterValidator(_scalar)]
ScalarOrList = Annotated[Any, AfterValidator(_scalar_or_list)]
Number = Annotated[float, BeforeValidator(_number)]
FileName = Annotated[Text, AfterValidator(_file_name)]
Whole = Annotated[int, BeforeValidator(_number)]
Assurance = Annotated[Number, Field(ge=0.5, lt=1)]
Day = Annotated[datetime.date, BeforeValidator(_date)]


class Spec(BaseModel):
    """A section of the plan: unknown keys are refused, nothing changes once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_by_name=True)
