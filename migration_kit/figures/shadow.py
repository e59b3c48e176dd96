"""Figures of the shadow: what the test set promised beside what live requests show."""

import pandas as pd

from migration_kit.figures.canvas import SOFT, Picture, colours, markers, name_rows, picture, styled
from migration_kit.figures.data import MIX
from migration_kit.figures.panels import forest
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.transport import seen_part
from migration_kit.wording import level, share, unit_of

LAYERS = {"offline": "promised by the test set", "shadow": "judged live outputs alone", "joint": "both, with the gap"}
STAGES = {"traffic": ("production traffic of the plan", MIX), "test_set": ("test set", "#b9bfc3"),
          "shadow": ("shadow", "#56b4e9"), "canary": ("canary", "#009e73")}


def transport(gaps: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> Picture:
    """Contrast of every candidate of the shadow: promised, shown live, and both joined; from `transport_gap`."""
    mine = gaps[(gaps["criterion"] == criterion.id) & (gaps["slice"] == "all")]
    shade, shape = colours(plan.model_ids, incumbent=plan.incumbent), markers(plan.model_ids, incumbent=plan.incumbent)
    unit, panels, told = unit_of(criterion), {}, []
    for row in mine.to_dict("records"):
        rows = []
        for name, label in LAYERS.items():
            mean, *ends = (row[f"{name}{end}"] for end in ("", "_lower", "_upper"))
            rows.append({"label": label, "mean": mean, "lower": ends[0], "upper": ends[1],
                         "colour": shade[row["model"]] if name == "joint" else SOFT, "marker": shape[row["model"]],
                         "hollow": name != "joint",
                         "note": "nobody judged them" if pd.isna(mean) else
                         f"{unit.change(mean)}  ({unit.span(*ends)})"})
        panels[row["model"]] = pd.DataFrame(rows)
        told.append(f"{row['model']}: " + ", ".join(f"{one['label']} {one['note']}" for one in rows))
    figure = forest(panels, label=f"minus {plan.incumbent}, {unit.contrast_axis} (right is better)", unit=unit,
                    contrast=True, margin=criterion.margin)
    part = seen_part(gaps, criterion.id)
    where = f"in {part}" if part else "under the plan's traffic"
    figure.alt_text = (f"Contrast with {plan.incumbent} on {criterion.id} {where}, {unit.contrast_axis}. "
                       f"{'; '.join(told)}.")
    figure.caption = (f"Candidate minus incumbent on {criterion.id} {where} with {level(plan.sampling.interval)}: what "
                      "the test set promised, what people said of live outputs, and the live result that decides"
                      f"{' there; the rest of traffic has no live requests' if part else ''}.")
    return figure


@styled
def live_mix(mix: pd.DataFrame) -> Picture:
    """Share of every slice in the plan's traffic, the test set and live requests, from `drift.live_mix`."""
    stages = [name for name in STAGES if name in mix]
    figure, (axes,) = picture(0.95 + (0.16 * len(stages) + 0.14) * len(mix))
    height = 0.84 / len(stages)
    for number, stage in enumerate(stages):
        label, colour = STAGES[stage]
        places = [place + (number - (len(stages) - 1) / 2) * height for place in mix.index]
        axes.barh(places, mix[stage], height=0.9 * height, color=colour, label=label)
        for place, value in zip(places, mix[stage], strict=True):
            axes.text(value, place, f" {share(value)}", va="center", fontsize=7.5, color=SOFT)
    name_rows(axes, [str(name) for name in mix["slice"]])
    axes.set_xlim(0, mix[stages].to_numpy().max() * 1.25)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, 0), ncols=len(stages), frameon=False, fontsize=8)
    figure.alt_text = "Bars for each slice. " + "; ".join(
        f"{row['slice']}: " + ", ".join(f"{share(row[stage])} of the {STAGES[stage][0]}" for stage in stages)
        for row in mix.to_dict("records")) + "."
    figure.caption = "Share of each slice in the traffic the plan weighs by, in the test set and in live requests."
    return figure
