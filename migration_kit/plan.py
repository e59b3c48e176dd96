"""The plan: which models, data, criteria and margins, fixed before the candidates' scores are read."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, model_validator

from migration_kit.errors import InputError, did_you_mean, listing, quote
from migration_kit.plan_errors import describe
from migration_kit.plan_live import (
    RAMP,
    TRANSPORT_SCALE,
    CostsSpec,
    LiveOutcomeSpec,
    Ramp,
    StakeholderSpec,
    live_problems,
    none_as_empty,
)
from migration_kit.plan_spec import (
    CriterionSpec,
    DataSpec,
    DecisionSpec,
    LabelsSpec,
    MetricSpec,
    ModelSpec,
    ModelsSpec,
    RatersSpec,
    ReportSpec,
    RequirementSpec,
    SamplingSpec,
    Spec,
    TableSpec,
    TrafficSpec,
    repeated,
)
from migration_kit.plan_types import Number, Text
from migration_kit.strict_yaml import read_yaml

ITEM_COLUMNS = ("item_id", "cluster_id", "text")
OUTPUT_COLUMNS = ("item_id", "model", "text")
SCORE_REQUIRED = ("item_id", "model", "criterion", "rater", "rater_kind", "value")
PREFERENCE_COLUMNS = ("opponent", "side")
SCORE_COLUMNS = (*SCORE_REQUIRED, *PREFERENCE_COLUMNS, "repeat", "inclusion_prob", "rationale", "source")
LIVE_REQUIRED = ("item_id", "model", "stage", "time", "criterion", "rater", "rater_kind", "value")
LIVE_COLUMNS = (*LIVE_REQUIRED, "user", "assigned_prob", "inclusion_prob", "text", *PREFERENCE_COLUMNS)
INCLUSION_COLUMNS = ("item_id", "criterion", "inclusion_prob")
LIVE_STAGES = ("shadow", "canary", "anchor")
RATER_KINDS = ("human", "judge", "code")
TRAFFIC_WEIGHTS = ("share", "count")
RESERVED = frozenset({*ITEM_COLUMNS, *OUTPUT_COLUMNS, *TRAFFIC_WEIGHTS})


class Plan(Spec):
    """A migration plan, valid in itself; whether the data fits it is told by `data.load_data`."""

    title: Text
    decision: DecisionSpec = DecisionSpec()
    models: ModelsSpec
    data: DataSpec
    metrics: Annotated[tuple[MetricSpec, ...], BeforeValidator(none_as_empty)] = ()
    slices: Annotated[tuple[Text, ...], BeforeValidator(none_as_empty)] = ()
    traffic: TrafficSpec | None = None
    criteria: Annotated[tuple[CriterionSpec, ...], Field(min_length=1)]
    requirements: Annotated[tuple[RequirementSpec, ...], BeforeValidator(none_as_empty)] = ()
    live_outcomes: Annotated[tuple[LiveOutcomeSpec, ...], BeforeValidator(none_as_empty)] = ()
    transport_scale: Annotated[Number, Field(gt=0)] = TRANSPORT_SCALE
    ramp: Ramp = RAMP
    costs: CostsSpec | None = None
    stakeholders: Annotated[tuple[StakeholderSpec, ...], BeforeValidator(none_as_empty)] = ()
    raters: RatersSpec | None = None
    labels: LabelsSpec = LabelsSpec()
    report: ReportSpec = ReportSpec()
    sampling: SamplingSpec = SamplingSpec()
    _path: Path = PrivateAttr(default=Path("migration.yml"))

    @model_validator(mode="after")
    def _holds_together(self) -> "Plan":
        wrong = [*_ids(self), *_slices(self), *_metrics(self), *_requirements(self), *_tables(self), *_live(self)]
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    @property
    def path(self) -> Path:
        """The plan file."""
        return self._path

    @property
    def folder(self) -> Path:
        """The folder of the plan file; the paths of tables start there."""
        return self._path.parent

    @property
    def digest(self) -> str:
        """The sha256 of the meaning: the order of keys and defaults written out do not change it."""
        content = self.model_dump(mode="json", by_alias=True)
        return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    @property
    def incumbent(self) -> str:
        """The id of the incumbent."""
        return self.models.incumbent.id

    @property
    def candidates(self) -> tuple[str, ...]:
        """The ids of the candidates, as the plan orders them."""
        return tuple(model.id for model in self.models.candidates)

    @property
    def model_ids(self) -> tuple[str, ...]:
        """The ids of all models, the incumbent first."""
        return (self.incumbent, *self.candidates)

    @property
    def gates(self) -> tuple[CriterionSpec, ...]:
        """The criteria with a margin."""
        return tuple(criterion for criterion in self.criteria if criterion.role == "gate")

    @property
    def live_gates(self) -> tuple[LiveOutcomeSpec, ...]:
        """The live outcomes that hold the ramp to their margin."""
        return tuple(outcome for outcome in self.live_outcomes if outcome.role == "gate")

    @property
    def covariates(self) -> tuple[str, ...]:
        """The covariates of all criteria, each once."""
        return tuple(dict.fromkeys(name for criterion in self.criteria for name in criterion.covariates))

    def model(self, model_id: str) -> ModelSpec:
        """Return a model's specification."""
        return _pick(model_id, {one.id: one for one in (self.models.incumbent, *self.models.candidates)}, "model")

    def criterion(self, criterion_id: str) -> CriterionSpec:
        """Return a criterion's specification."""
        return _pick(criterion_id, {one.id: one for one in self.criteria}, "criterion")

    def live_outcome(self, outcome_id: str) -> LiveOutcomeSpec:
        """Return a live outcome's specification."""
        return _pick(outcome_id, {one.id: one for one in self.live_outcomes}, "live outcome")

    def metric(self, metric_id: str) -> MetricSpec:
        """Return a metric's specification; one that the plan does not describe has the defaults."""
        return next((one for one in self.metrics if one.id == metric_id), None) or MetricSpec(id=metric_id)

    def metric_better(self, metric_id: str, criterion_id: str) -> str:
        """Return which direction of a metric is better: its own, or that of the criterion that uses it."""
        return self.metric(metric_id).better or self.criterion(criterion_id).better

    def metric_criterion(self, metric_id: str, criterion_id: str) -> str:
        """Return the criterion under which the rows of a metric stand when `criterion_id` uses it."""
        return self.metric(metric_id).criterion or criterion_id

    def metric_rows(self) -> list[tuple[str, str, str]]:
        """Return (criterion, metric, criterion the metric's rows stand under) for every use of a metric."""
        return [(one.id, name, self.metric_criterion(name, one.id)) for one in self.criteria for name in one.metrics]

    def tables(self) -> Iterator[tuple[str, str, TableSpec]]:
        """Yield (plan key, kind, table) for every table of the plan."""
        for kind in ("items", "scores", "outputs", "held_out", "live", "inclusion"):
            for number, table in enumerate(getattr(self.data, kind)):
                yield f"data.{kind}.{number}", kind, table
        if self.traffic and self.traffic.table:
            yield "traffic", "traffic", self.traffic.table

    def columns_of(self, kind: str) -> tuple[str, ...]:
        """Return the columns the kit knows in a kind of table: items, scores, ..., live, inclusion or traffic."""
        return {
            "items": (*ITEM_COLUMNS, *self.slices, *self.covariates),
            "outputs": (*OUTPUT_COLUMNS, *PREFERENCE_COLUMNS, *self.covariates),
            "scores": SCORE_COLUMNS,
            "held_out": SCORE_COLUMNS,
            "live": (*LIVE_COLUMNS, *self.slices, *self.covariates),
            "inclusion": INCLUSION_COLUMNS,
            "traffic": (*self.slices, *TRAFFIC_WEIGHTS),
        }[kind]


def load_plan(path: str | Path) -> Plan:
    """Read and check a plan; no data is read.

    Parameters
    ----------
    path : str or Path
        A YAML file in UTF-8.

    Raises
    ------
    InputError
        Every problem found, one a line: "migration.yml: criteria.0.margin: found 1.5, expected less than 1".
    """
    path = Path(path)
    content = read_yaml(path)
    try:
        plan = Plan.model_validate(content)
    except ValidationError as error:
        raise InputError("\n".join(f"{path.name}: {line}" for line in describe(error, Plan))) from None
    plan._path = path
    return plan


def _pick(name: str, known: dict[str, Any], what: str) -> Any:
    if name not in known:
        hint = did_you_mean(name, known)
        raise InputError(f"{what} {quote(name)} is not in the plan; it names {listing(known)}{hint}")
    return known[name]


def _twice(key: str, names: Iterable[str], what: str) -> list[str]:
    return [f"{key}: {what} {quote(name)} stands twice; every {what} needs its own" for name in repeated(names)]


def _ids(plan: Plan) -> Iterator[str]:
    yield from _twice("models", plan.model_ids, "id")
    yield from _twice("criteria", (one.id.casefold() for one in plan.criteria), "id (capitals do not count)")
    yield from _twice("requirements", (one.id for one in plan.requirements), "id")
    yield from _twice("metrics", (one.id for one in plan.metrics), "id")
    if not plan.gates:
        yield "criteria: none has role gate; the decision needs at least one, with its margin"


def _slices(plan: Plan) -> Iterator[str]:
    yield from _twice("slices", plan.slices, "column")
    for number, name in enumerate(plan.slices):
        if name in RESERVED:
            yield f"slices.{number}: {quote(name)} is a column of the kit's own; rename it with data.items columns"
    if "slice" in plan.slices and len(plan.slices) > 1:
        yield "slices: a column 'slice' can only stand alone; rename it with data.items columns"
    if plan.traffic and plan.traffic.path and not plan.slices:
        yield "traffic.path: the plan names no slices for this table to weigh; name slices or leave path out"
    if plan.traffic and not plan.traffic.path and (plan.traffic.columns or plan.traffic.where):
        yield "traffic.path: is missing; columns and where need a table"
    for number, criterion in enumerate(plan.criteria):
        for place, name in enumerate(criterion.covariates):
            if name in RESERVED or name in plan.slices or name == "slice":
                what = "a slice column, which the calibration knows already" if name in plan.slices else "not a number"
                yield f"criteria.{number}.covariates.{place}: {quote(name)} is {what}; leave it out"


def _metrics(plan: Plan) -> Iterator[str]:
    used = {name for criterion in plan.criteria for name in criterion.metrics}
    for number, metric in enumerate(plan.metrics):
        if metric.id not in used:
            yield (f"metrics.{number}.id: no criterion uses a metric {quote(metric.id)}{did_you_mean(metric.id, used)} "
                   f"(criteria use {listing(sorted(used))})")


def _requirements(plan: Plan) -> Iterator[str]:
    models = {"models.incumbent": plan.models.incumbent}
    models |= {f"models.candidates.{number}": model for number, model in enumerate(plan.models.candidates)}
    pairwise = {one.id for one in plan.criteria if one.kind == "pairwise"}
    stated = {name for model in models.values() for name in model.facts}
    for number, requirement in enumerate(plan.requirements):
        if requirement.criterion in pairwise:
            yield (f"requirements.{number}.criterion: {quote(requirement.criterion)} is pairwise and compares two "
                   "models; a requirement asks each model by itself")
        if requirement.fact is None:
            continue
        hint = did_you_mean(requirement.fact, stated)
        if requirement.fact not in stated and hint:
            yield f"requirements.{number}.fact: no model states a fact {quote(requirement.fact)}{hint}"
        if requirement.at_least is None and requirement.at_most is None:
            continue
        for key, model in models.items():
            value = model.facts.get(requirement.fact, 0)
            if isinstance(value, bool) or not isinstance(value, int | float):
                yield (f"{key}.facts.{requirement.fact}: found {quote(value)}, expected a number, "
                       f"because requirement {quote(requirement.id)} compares it with one")


def _tables(plan: Plan) -> Iterator[str]:
    for key, kind, table in plan.tables():
        valid = plan.columns_of(kind)
        for target in table.columns:
            if target not in valid:
                yield (f"{key}.columns.{target}: is no column of {kind}{did_you_mean(target, valid)}; "
                       f"expected one of {listing(valid, 20)}")
        if table.values and kind not in ("scores", "held_out", "live"):
            yield f"{key}.values: only tables of scores can be wide; leave it out"
        for target in ("criterion", "rater", "rater_kind", "value"):
            if table.values and target in table.columns:
                yield f"{key}.columns.{target}: is given by `values` already; leave one of them out"


def _live(plan: Plan) -> Iterator[str]:
    required = [one.criterion for one in plan.requirements if one.criterion]
    for name in {*plan.slices, *plan.covariates} & {*LIVE_COLUMNS} if plan.data.live else ():
        yield f"data.live: {quote(name)} is a column of live tables and a slice or covariate too; rename the latter"
    yield from live_problems(outcomes=plan.live_outcomes, stakeholders=plan.stakeholders, slices=plan.slices,
                             criteria=[one.id for one in plan.criteria], required=required)
