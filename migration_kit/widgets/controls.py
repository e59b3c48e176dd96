"""The controls of the decision explorer: made from the plan, read back as settings."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import ipywidgets as ipw

from migration_kit.plan import CriterionSpec
from migration_kit.widgets.explore import Stored
from migration_kit.widgets.settings import Settings, shares_of
from migration_kit.wording import short, unit_of

MOST_SLICES = 12
OTHERS = "all others"
MOST_LABELS, LABEL_STEP = 800, 25
RATIO_REACH = 2
MORE, RATIO = "more labelled items", "wrong switch : wrong stay"
WIDE = {"description_width": "16em"}
LAYOUT = {"width": "100%", "max_width": "48em"}


class Control(NamedTuple):
    """A slider, the plan's own value, the factor from that to what the slider shows, and the unit of that."""

    slider: ipw.Widget
    own: float
    factor: float = 1.0
    unit: str = ""

    @property
    def value(self) -> float:
        """What the slider says in the unit of the plan; unmoved, the plan's own value to the last digit."""
        shown, start, step = self.slider.value, self.own * self.factor, self.slider.step
        base = getattr(self.slider, "base", None)
        # Browsers move a slider to the nearest of its steps unasked.
        off = abs(math.log(shown / start, base)) if base else abs(shown - start)
        return self.own if off <= 0.501 * step else float(f"{shown / self.factor:.9g}")

    def reset(self) -> None:
        """Move the slider back to the plan's own value."""
        self.slider.value = self.own * self.factor


Groups = dict[str, dict[str, Control]]


def make_controls(known: Stored) -> Groups:
    """Return the controls by group: margins, slice_margins, assurance, shares, weights, stakeholders, costs, more."""
    plan, own = known.plan, known.settings
    groups: Groups = {
        "margins": {one.id: _margin(one, one.margin, f"margin on {one.id}") for one in plan.gates},
        "slice_margins": {one.id: _margin(one, one.slice_margin, f"slice margin on {one.id}") for one in plan.gates
                          if one.slice_margin is not None},
        "assurance": {name: _assurance(value, label) for name, value, label in (
            ("assurance", own.assurance, "assurance of all gates, %"),
            ("slice_assurance", own.slice_assurance, "assurance of each slice, %"))
            if name == "assurance" or own.slice_margins},
        "shares": _shares(own.shares),
        "weights": _weights(own.weights), "stakeholders": _weights(own.stakeholders),
        "costs": {"ratio": _ratio(own.cost_ratio)},
        "more": {"labels": Control(ipw.IntSlider(
            value=0, min=0, max=MOST_LABELS, step=LABEL_STEP, description=MORE, tooltip=MORE, style=WIDE,
            layout=LAYOUT), 0)},
    }
    return groups


def read_controls(groups: Groups, known: Stored) -> Settings:
    """Return what the controls say."""
    own = known.settings
    values = {name: {key: one.value for key, one in group.items()} for name, group in groups.items()}
    ratio = groups["costs"]["ratio"]
    # Without costs in the plan, nothing is said of them until the slider is moved.
    named = own.cost_ratio is not None or ratio.value != ratio.own
    return Settings(
        margins=values["margins"], slice_margins=values["slice_margins"],
        **({"slice_assurance": own.slice_assurance} | values["assurance"]),
        weights=values["weights"] or own.weights, stakeholders=values["stakeholders"] or own.stakeholders,
        cost_ratio=ratio.value if named else None,
        shares=_mix(groups["shares"], own.shares), more=int(values["more"]["labels"]))


def _slider(value: float, low: float, high: float, step: float, label: str, *, digits: int) -> ipw.FloatSlider:
    return ipw.FloatSlider(value=value, min=low, max=max(high, value), step=step, description=short(label, 44),
                           tooltip=label, readout_format=f".{digits}f", style=WIDE, layout=LAYOUT)


def _margin(spec: CriterionSpec, value: float, label: str) -> Control:
    unit = unit_of(spec)
    step = 10 ** (math.floor(math.log10(value * unit.scale)) - 1)
    most = 4 * value
    if spec.in_points:
        most = min(most, 0.9)
    elif spec.levels:
        most = min(most, 0.9 * (spec.levels[-1] - spec.levels[0]))
    told = f"{label}, {unit.contrast_axis}"
    return Control(_slider(value * unit.scale, step, most * unit.scale, step, told,
                           digits=max(0, -math.floor(math.log10(step)))), value, unit.scale, unit.contrast_axis)


def _assurance(value: float, label: str) -> Control:
    return Control(_slider(100 * value, 50, 99.9, 0.1, label, digits=1), value, 100, "%")


def _weights(own: Mapping[str, float]) -> dict[str, Control]:
    """Weights choose by their proportions: one alone moves nothing."""
    return {name: Control(_slider(value, 0, max(5.0, 2 * value), 0.1, f"weight of {name}", digits=1), value)
            for name, value in own.items()} if len(own) > 1 else {}


def _ratio(value: float | None) -> Control:
    own = 1.0 if value is None else value
    reach = max(RATIO_REACH, math.ceil(abs(math.log10(own))))
    return Control(ipw.FloatLogSlider(
        value=own, base=10, min=-reach, max=reach, step=0.01, description=RATIO,
        tooltip=f"{RATIO}, what a wrong switch costs for each unit that a wrong stay costs", readout_format=".2f",
        style=WIDE, layout=LAYOUT), own, unit="to 1")


def _shares(own: Mapping[str, float]) -> dict[str, Control]:
    """Parts of traffic; of many slices the largest, and all others together."""
    names = sorted(own, key=own.__getitem__, reverse=True)
    parts = {name: own[name] for name in (names if len(names) <= MOST_SLICES else names[: MOST_SLICES - 1])}
    if len(parts) < len(names):
        parts[OTHERS] = sum(share for name, share in own.items() if name not in parts)
    return {name: Control(_slider(100 * share, 0, 100, 0.5, f"share of {name}, %", digits=1), share, 100, "%")
            for name, share in parts.items()} if len(names) > 1 else {}


def _mix(controls: dict[str, Control], own: Mapping[str, float]) -> dict[str, float]:
    """Shares that sum to 1; slices without a control of their own keep their proportions."""
    if all(one.value == one.own for one in controls.values()):
        return dict(own)
    rest = sum(share for name, share in own.items() if name not in controls)
    parts = {name: controls[name].value if name in controls else
             controls[OTHERS].value * (own[name] / rest if rest else 1.0) for name in own}
    return shares_of(parts)
