"""What a plan says of life after the test set: what users do, the ramp, what mistakes cost, and who is concerned."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from migration_kit.errors import did_you_mean, listing, quote
from migration_kit.plan_scales import unit_problems
from migration_kit.plan_types import FileName, Number, Spec, Text

RAMP = (0.01, 0.05, 0.25, 0.5, 1.0)
TRANSPORT_SCALE = 0.05


class LiveOutcomeSpec(Spec):
    """What users do and systems record once a candidate answers some of them; never mixed with offline correctness.

    A gate holds the ramp to its margin; of a monitor a margin is only what the report holds it against.
    """

    id: FileName
    question: Text | None = None
    scale: Literal["binary", "continuous"] = "binary"
    better: Literal["higher", "lower"] = "higher"
    role: Literal["gate", "monitor"]
    margin: Annotated[Number, Field(gt=0)] | None = None
    range: tuple[Number, Number] | None = None
    unit: Text | None = None
    why: Text | None = None

    @property
    def kind(self) -> str:
        """Return binary or continuous."""
        return self.scale

    @property
    def levels(self) -> tuple[float, ...]:
        """Return the values an outcome may have; () where any number may stand."""
        return (0.0, 1.0) if self.scale == "binary" else ()

    @property
    def score(self) -> tuple[float, ...]:
        """Return what each level counts for."""
        return self.levels

    @property
    def in_points(self) -> bool:
        """Tell whether the outcome is a rate, shown in percent, and a contrast is told in points."""
        return self.scale == "binary"

    @property
    def limits(self) -> tuple[float, float] | None:
        """Return the lowest and the highest value that count: 0 and 1, or `range`; None where there are none."""
        return (0.0, 1.0) if self.scale == "binary" else self.range

    @model_validator(mode="after")
    def _fits(self) -> "LiveOutcomeSpec":
        wrong = [*_range_problems(self), *unit_problems(self.kind, self.unit)]
        if self.role == "gate" and self.margin is None:
            example = "0.02 for 2 points" if self.in_points else "0.2 in the unit of the outcome"
            wrong.append(f"margin: is missing; a gate needs the largest loss accepted, e.g. {example}")
        if self.margin is not None and self.in_points and self.margin >= 1:
            hint = f"; write {self.margin / 100:g} for {self.margin:g} points" if self.margin < 100 else ""
            wrong.append(f"margin: found {self.margin:g}, expected less than 1, because the outcome is a rate{hint}")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self


class CostsSpec(Spec):
    """What a wrong decision costs: to switch to a worse model, and to stay although the candidate is not worse."""

    wrong_switch: Annotated[Number, Field(gt=0)]
    wrong_stay: Annotated[Number, Field(gt=0)]
    unit: Text = "units of cost"


class StakeholderSpec(Spec):
    """Somebody with a concern: about a criterion, about a slice, about both, or about all that is weighed.

    `weight` counts in the utility beside the plan's own; who `signs` must agree before the decision holds.
    """

    name: Text
    concern: Text
    criterion: Text | None = None
    slice: Text | None = None
    weight: Annotated[Number, Field(ge=0)] = 1.0
    signs: bool = False


def _ramp(value: tuple[float, ...]) -> tuple[float, ...]:
    told = f"found [{', '.join(f'{share:g}' for share in value)}], expected"
    if any(not 0 < share <= 1 for share in value):
        wrong = next(share for share in value if not 0 < share <= 1)
        hint = f"; write {wrong / 100:g} for {wrong:g}%" if 1 < wrong <= 100 else ""
        raise ValueError(f"{told} shares of users above 0 and up to 1{hint}")
    if any(later <= before for before, later in pairwise(value)):
        raise ValueError(f"{told} each share above the one before it, e.g. {list(RAMP)}")
    if value[-1] != 1:
        raise ValueError(f"{told} 1.0 as the last share: the ramp ends when every user has the candidate")
    return value


Ramp = Annotated[tuple[Number, ...], Field(min_length=1), AfterValidator(_ramp)]


def live_problems(
    *,
    outcomes: Sequence[LiveOutcomeSpec],
    stakeholders: Sequence[StakeholderSpec],
    criteria: Sequence[str],
    slices: Sequence[str],
    required: Sequence[str] = (),
) -> Iterator[str]:
    """Yield "key: text" for what does not agree between these sections and the criteria and slices of a plan.

    Parameters
    ----------
    criteria, slices, required : sequence of str
        Ids of the criteria, the slice columns, and the criteria that only requirements name.
    """
    ids = [one.id.casefold() for one in outcomes]
    known = {one.casefold() for one in (*criteria, *required)}
    for number, outcome in enumerate(outcomes):
        if outcome.id.casefold() in ids[:number]:
            yield (f"live_outcomes.{number}.id: id (capitals do not count) {quote(outcome.id)} stands twice; every "
                   "outcome needs its own")
        if outcome.id.casefold() in known:
            yield (f"live_outcomes.{number}.id: {quote(outcome.id)} is a criterion already; what users do is never "
                   "mixed with what people judge offline: give the outcome an id of its own")
    names = [one.name.casefold() for one in stakeholders]
    for number, one in enumerate(stakeholders):
        if one.name.casefold() in names[:number]:
            yield (f"stakeholders.{number}.name: {quote(one.name)} stands twice; every stakeholder needs a name of "
                   "its own, which signs for the role")
        if one.criterion is not None and one.criterion not in criteria:
            yield (f"stakeholders.{number}.criterion: criterion {quote(one.criterion)} is not in the plan; it names "
                   f"{listing(criteria)}{did_you_mean(one.criterion, criteria)}")
        if one.slice is not None and not slices:
            yield (f"stakeholders.{number}.slice: the plan names no slices, so {quote(one.slice)} cannot be told "
                   "apart; name slices or leave slice out")


def _range_problems(spec: LiveOutcomeSpec) -> Iterator[str]:
    if spec.scale == "binary":
        if spec.range is not None:
            yield "range: a binary outcome is 0 or 1; leave range out, or use scale: continuous"
        return
    if spec.range is None:
        if spec.role == "gate":
            yield ("range: is missing; bounds that hold at every look need the lowest and the highest value that "
                   "count, e.g. [0, 30]; values outside are set to the nearest of the two")
        return
    low, high = spec.range
    if low >= high:
        yield (f"range: found [{low:g}, {high:g}], expected the lowest value first: "
               f"[{min(low, high):g}, {max(low, high):g}]")
    elif spec.margin is not None and spec.margin >= high - low:
        yield f"margin: found {spec.margin:g}, expected less than {high - low:g}, the width of the range"


def none_as_empty(value: Any) -> Any:
    """Read an empty section as an empty list."""
    return () if value is None else value
