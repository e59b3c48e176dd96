"""The sections of a plan and what each of their keys may hold."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from migration_kit.errors import did_you_mean, listing, quote
from migration_kit.plan_scales import (
    AtLeast,
    Ordinal,
    Quantity,
    Scale,
    margin_problems,
    quantity_problems,
    unit_problems,
)
from migration_kit.plan_types import (
    Assurance,
    Day,
    FileName,
    Number,
    Scalar,
    ScalarOrList,
    Spec,
    Text,
    Whole,
    scalar_text,
)


def _listed(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError(f"found {quote(value)}, expected {{path: {value}}}, or a list of such tables")
    return [value] if isinstance(value, dict) else value


def _column(value: Any) -> Any:
    return {"from": value} if isinstance(value, str) else value


def _statistic(value: str) -> str:
    if not re.fullmatch(r"mean|p[5-9][0-9]", value):
        raise ValueError(f"found {quote(value)}, expected mean or a percentile from p50 to p99")
    return value


ValueMap = dict[Annotated[str, BeforeValidator(scalar_text)], Scalar]


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that stand more than once."""
    return [name for name, n in Counter(names).items() if n > 1]


class DecisionSpec(Spec):
    """Who decides, by when, and with what probability."""

    owner: Text | None = None
    due: Day | None = None
    default: Literal["keep"] = "keep"
    assurance: Assurance = 0.95
    slice_assurance: Assurance = 0.80


class ModelSpec(Spec):
    """A model under test; `facts` are what requirements may ask for."""

    id: Text
    prompt: Text | None = None
    settings: Text | None = None
    retires: Day | None = None
    facts: dict[Text, ScalarOrList] = Field(default_factory=dict)


class ModelsSpec(Spec):
    """The incumbent and its candidates."""

    incumbent: ModelSpec
    candidates: Annotated[tuple[ModelSpec, ...], Field(min_length=1)]


class ColumnSpec(Spec):
    """Where a column comes from: a source column (or dotted path), with a map of its values; or a constant."""

    source: Text | None = Field(None, alias="from")
    value: Scalar | None = None
    map: ValueMap | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> "ColumnSpec":
        if (self.source is None) == (self.value is None):
            raise ValueError("expected a column name, {from: column, map: {...}} or {value: constant}")
        if self.value is not None and self.map is not None:
            raise ValueError("map: needs `from`, a constant `value` has nothing to map")
        return self


class ValueSpec(Spec):
    """What one column of a wide table holds; `map` turns its values into others, as in `columns`."""

    criterion: Text
    rater: Text
    rater_kind: Literal["human", "judge", "code"]
    map: ValueMap | None = None


class TableSpec(Spec):
    """One table: a file or a glob of files, and how its columns are to be read."""

    format: Literal["table"] = "table"
    path: Text
    columns: dict[Text, Annotated[ColumnSpec, BeforeValidator(_column)]] = Field(default_factory=dict)
    where: dict[Text, ScalarOrList] = Field(default_factory=dict)
    values: dict[Text, ValueSpec] = Field(default_factory=dict)


class TrafficSpec(Spec):
    """Production traffic by slice; without a path the items stand for the traffic."""

    format: Literal["table"] = "table"
    path: Text | None = None
    columns: dict[Text, Annotated[ColumnSpec, BeforeValidator(_column)]] = Field(default_factory=dict)
    where: dict[Text, ScalarOrList] = Field(default_factory=dict)
    requests_per_day: Annotated[Number, Field(gt=0)] | None = None
    users_per_day: Annotated[Whole, Field(gt=0)] | None = None

    @property
    def table(self) -> TableSpec | None:
        """The table of weights, or None."""
        if self.path is None:
            return None
        return TableSpec(path=self.path, columns=self.columns, where=self.where)


Tables = Annotated[tuple[TableSpec, ...], BeforeValidator(_listed)]


class DataSpec(Spec):
    """The tables of the migration."""

    items: Annotated[Tables, Field(min_length=1)]
    scores: Annotated[Tables, Field(min_length=1)]
    outputs: Tables = ()
    held_out: Tables = ()
    live: Tables = ()
    inclusion: Tables = ()
    source: Text | None = None
    period: Text | None = None


class MetricSpec(Spec):
    """An automated metric: who computes it and what it says.

    `better` is that of the criterion that uses the metric unless given; `none` says nothing by itself.
    """

    id: Text
    by: Text | None = None
    family: Text | None = None
    prompt_hash: Text | None = None
    better: Literal["higher", "lower", "none"] | None = None
    criterion: Text | None = None


class CriterionSpec(Spec):
    """A question people are asked about an output, or about two outputs side by side.

    A margin is on the scale of quality: a difference of rates in (0, 1) where `in_points`, else in the units of the
    human judgments.
    """

    id: FileName
    question: Text | None = None
    scale: Scale = "binary"
    quantity: Quantity = "mean"
    better: Literal["higher", "lower"] = "higher"
    role: Literal["gate", "trade-off", "monitor"]
    metrics: Annotated[tuple[Text, ...], Field(min_length=1)]
    primary_metric: Text = ""
    covariates: tuple[Text, ...] = ()
    margin: Annotated[Number, Field(gt=0)] | None = None
    slice_margin: Annotated[Number, Field(gt=0)] | None = None
    unit: Text | None = None
    weight: Annotated[Number, Field(ge=0)] | None = None
    why: Text | None = None

    @property
    def kind(self) -> str:
        """Return binary, ordinal, continuous or pairwise."""
        return "ordinal" if isinstance(self.scale, Ordinal) else self.scale

    @property
    def levels(self) -> tuple[float, ...]:
        """Return the values a human judgment may have; () where any number may stand."""
        fixed = {"binary": (0.0, 1.0), "continuous": (), "pairwise": (-1.0, 0.0, 1.0)}
        return self.scale.levels if isinstance(self.scale, Ordinal) else fixed[self.scale]

    @property
    def score(self) -> tuple[float, ...]:
        """Return what each level counts for quality, in the order of `levels`."""
        if isinstance(self.quantity, AtLeast):
            return tuple(float(level >= self.quantity.at_least) for level in self.levels)
        return self.levels

    @property
    def in_points(self) -> bool:
        """Tell whether quality is a rate, shown in percent, and a contrast is told in points."""
        return self.kind in ("binary", "pairwise") or isinstance(self.quantity, AtLeast)

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        filled = dict(content)
        metrics = filled.get("metrics")
        if filled.get("primary_metric") is None and isinstance(metrics, list | tuple) and metrics:
            filled["primary_metric"] = metrics[0]
        if filled.get("role") == "gate" and filled.get("weight") is None:
            filled["weight"] = 1.0
        return filled

    @model_validator(mode="after")
    def _fits_role(self) -> "CriterionSpec":
        wrong = quantity_problems(self.scale, self.quantity) + unit_problems(self.kind, self.unit)
        wrong += margin_problems(self.scale, in_points=self.in_points, margin=self.margin,
                                 slice_margin=self.slice_margin)
        if self.role == "gate" and self.margin is None:
            example = "0.03 for 3 points" if self.in_points else "0.2 in the units of the judgments"
            wrong.append(f"margin: is missing; a gate needs the largest loss accepted, e.g. {example}")
        wrong += [f"{key}: only a gate has one; this criterion has role {self.role}"
                  for key in ("margin", "slice_margin") if self.role != "gate" and getattr(self, key) is not None]
        if self.role == "trade-off" and self.weight is None:
            wrong.append("weight: is missing; a trade-off needs its weight against the others")
        wrong += [f"{key}: {quote(name)} stands twice; name it once" for key in ("metrics", "covariates")
                  for name in repeated(getattr(self, key))]
        if self.primary_metric not in self.metrics:
            wrong.append(f"primary_metric: {quote(self.primary_metric)} is not one of the criterion's metrics "
                         f"({listing(self.metrics)}){did_you_mean(self.primary_metric, self.metrics)}")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self


class RequirementSpec(Spec):
    """What a candidate must fulfil whatever its quality: a fact of the model, or a statistic of scores."""

    id: Text
    fact: Text | None = None
    criterion: Text | None = None
    includes: ScalarOrList | None = None
    equals: ScalarOrList | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    statistic: Annotated[Text, AfterValidator(_statistic)] | None = None
    assurance: Assurance | None = None

    @model_validator(mode="after")
    def _one_test(self) -> "RequirementSpec":
        if (self.fact is None) == (self.criterion is None):
            raise ValueError("expected exactly one of fact, criterion")
        valid = ("at_least", "at_most", "includes", "equals") if self.fact else ("at_least", "at_most")
        given = [key for key in ("includes", "equals", "at_least", "at_most") if getattr(self, key) is not None]
        if len(given) != 1 or given[0] not in valid:
            raise ValueError(f"a {'fact' if self.fact else 'criterion'} needs exactly one of {', '.join(valid)}; "
                             f"found {', '.join(given) or 'none'}")
        extra = [key for key in ("statistic", "assurance") if self.fact and getattr(self, key) is not None]
        if extra:
            raise ValueError("\n".join(f"{key}: a fact is compared as it is; leave this key out" for key in extra))
        return self


class RatersSpec(Spec):
    """The people whose judgments count."""

    who: Text
    instructions: Text | None = None
    blinded: bool | None = None


class LabelsSpec(Spec):
    """How many human judgments may be asked for, and what one costs."""

    budget: Annotated[Whole, Field(ge=1)] | None = None
    usd_per_label: Annotated[Number, Field(gt=0)] | None = None


class ReportSpec(Spec):
    """What the report may show."""

    show_texts: bool = False


class SamplingSpec(Spec):
    """Draws of the calibration model."""

    draws: Annotated[Whole, Field(ge=10)] = 1000
    tune: Annotated[Whole, Field(ge=10)] = 1000
    chains: Annotated[Whole, Field(ge=1, le=64)] = 4
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 1
    interval: Annotated[Number, Field(ge=0.5, lt=1)] = 0.95
