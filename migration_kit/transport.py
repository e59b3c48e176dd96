"""Does what the test set promised hold on live requests? Offline and shadow evidence joined through their gap.

Both models answer the same live requests (shadow), so the same calibration gives a contrast Δ on the same scale. It may
differ from the test set's by a gap δ, Δ_shadow = Δ_offline + δ with δ ~ Normal(0, scale²); only through δ does offline
evidence enter the live posterior. Posteriors of the two are taken as normal, which gives closed forms.
"""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtr

from migration_kit.checks import CheckResult
from migration_kit.estimands import TOTAL
from migration_kit.gates import contrasts
from migration_kit.intervals import NORMAL, summarise
from migration_kit.plan import CriterionSpec, Plan
from migration_kit.wording import chance, counted, listed, share, unit_of

HOLDS_LIVE = "holds on live requests"
FLAGGED_AT = 0.8
SDS_IN_RANGE = 4.0
MOST_NAMED = 4
GAP_COLUMNS = (
    "criterion", "model", "slice", "offline", "offline_sd", "offline_lower", "offline_upper", "shadow", "shadow_sd",
    "shadow_lower", "shadow_upper", "gap", "gap_sd", "gap_lower", "gap_upper", "margin", "prior_beyond", "beyond",
    "joint", "joint_sd", "joint_lower", "joint_upper", "overall", "overall_sd", "overall_lower", "overall_upper",
    "prob_noninferior", "n_labels", "covered", "flagged")


def gap_scale(plan: Plan, features: xr.Dataset) -> float:
    """Standard deviation of δ in the unit of the criterion: the plan's share of what its scale can show.

    For rates that is the share itself; for mean scores a share of the range of the scale; for continuous criteria of
    four standard deviations of the labels, which hold nearly all of them.
    """
    spec = plan.criterion(features.attrs["criterion"])
    if spec.in_points:
        return plan.transport_scale
    if spec.levels:
        return plan.transport_scale * (spec.levels[-1] - spec.levels[0])
    return plan.transport_scale * SDS_IN_RANGE * float(features.attrs["spread"])


def shadow_gaps(
    offline: dict[str, xr.Dataset], features: dict[str, xr.Dataset], plan: Plan, *, shadow: dict[str, xr.Dataset],
    shadow_features: dict[str, xr.Dataset],
) -> pd.DataFrame:
    """Return `transport_gap` of every criterion that people judged on live requests; may be empty.

    Parameters
    ----------
    offline, features : dict of Dataset
        Criterion to quality draws under the plan's traffic and to features, of the test set; a criterion without draws
        promises nothing.
    shadow, shadow_features : dict of Dataset
        The same of the shadow.
    """
    tables = []
    for name, draws in shadow.items():
        if name not in offline:
            continue
        tables.append(transport_gap(offline[name], draws, features[name], plan, scale=gap_scale(plan, features[name]),
                                    labels=judged_outputs(shadow_features[name])))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(GAP_COLUMNS))


def judged_outputs(features: xr.Dataset) -> pd.DataFrame:
    """Count the outputs that people judged: one row a model, one column a slice and `TOTAL`."""
    where = features["slice"].to_numpy()[features["slice_index"].to_numpy()]
    judged = features["label"].notnull().transpose("model", "item").to_numpy()
    by_slice = pd.DataFrame(judged.T, columns=features["model"].to_numpy()).groupby(where).sum().T
    return by_slice.assign(**{TOTAL: by_slice.sum(axis=1)})


def transport_gap(
    offline: xr.Dataset, shadow: xr.Dataset, features: xr.Dataset, plan: Plan, *, scale: float, labels: pd.DataFrame
) -> pd.DataFrame:
    """Join the contrasts of test set and shadow, in total and by slice.

    Parameters
    ----------
    offline, shadow : Dataset
        From `estimands.quality` of the same criterion; the shadow may lack slices and candidates.
    features : Dataset
        The test set's features of the criterion; its traffic weighs the slices of both.
    plan : Plan
    scale : float
        Standard deviation of δ, from `gap_scale`.
    labels : DataFrame
        Outputs judged in the shadow by model and slice, from `judged_outputs`.

    Returns
    -------
    DataFrame
        Columns `GAP_COLUMNS`, one row a candidate of the shadow and a slice; contrasts are positive where the candidate
        is better, in the unit of the criterion. ``beyond`` is P(|δ| > margin), ``prior_beyond`` the same before the
        shadow was seen; NaN without a margin. ``joint`` is the live posterior: what offline promised, corrected by the
        gap. All of the shadow NaN where people judged no output of either model there. ``covered`` is the share of
        traffic in slices that the shadow has, to which all of these refer in total. ``overall``, its interval and
        ``prob_noninferior`` are of all traffic, as the decision has them: in slices that the shadow lacks the test set
        speaks alone (`live_contrasts`). Worry when ``beyond`` is 0.8 or more (``flagged``): the test set does not
        stand for live requests.
    """
    spec = plan.criterion(features.attrs["criterion"])
    both = {name: contrasts(draws, plan, spec)["calibrated"] for name, draws in (("offline", offline),
                                                                                 ("shadow", shadow))}
    slices = [name for name in both["shadow"]["slice"].to_numpy() if name != TOTAL]
    weight = features["share"].sel(slice=slices)
    covered = float(weight.sum())
    weight, interval = weight / covered, plan.sampling.interval
    rows = []
    for model in both["shadow"]["model"].to_numpy():
        counts = labels.reindex(index=[model, plan.incumbent], columns=[TOTAL, *slices], fill_value=0).min()
        for name in (TOTAL, *slices):
            seen, own = {}, {}
            for layer, delta in both.items():
                values = delta.sel(model=model)
                one = (values.sel(slice=slices) * weight).sum("slice") if name == TOTAL else values.sel(slice=name)
                own[layer] = one.to_numpy() if counts[TOTAL] or layer == "offline" else np.array([])
                seen |= _columns(layer, own[layer], interval)
            margin = spec.margin if name == TOTAL else spec.slice_margin
            joined = joined_normals(seen["offline"], seen["offline_sd"], seen["shadow"], seen["shadow_sd"],
                                    scale=scale, margin=margin, interval=interval)
            joined |= _columns("joint", own["offline"] + _change(own["offline"], seen | joined), interval)
            part = covered if name == TOTAL else 1.0
            # As `live_contrasts` moves it: the gap of the covered part, put on all traffic.
            whole = both["offline"].sel(model=model, slice=name).to_numpy()
            whole = whole + part * _change(whole, seen | joined)
            joined |= _columns("overall", whole, interval)
            joined["prob_noninferior"] = summarise(whole, interval=interval, margin=margin)["prob_noninferior"]
            rows.append({"criterion": spec.id, "model": str(model), "slice": str(name), **seen, **joined,
                         "n_labels": int(counts[name]), "covered": part})
    table = pd.DataFrame(rows, columns=[name for name in GAP_COLUMNS if name != "flagged"])
    return table.assign(flagged=table["beyond"] >= FLAGGED_AT)


def joined_normals(
    offline: float, offline_sd: float, shadow: float, shadow_sd: float, *, scale: float, margin: float | None,
    interval: float,
) -> dict[str, float]:
    """Posterior of the gap and of the live contrast where both contrasts are normal; the columns of `transport_gap`.

    With no scale the two are pooled by their precision; with a wide one the shadow stands alone; without a shadow (NaN)
    the live contrast is the offline one, less sure by the scale, and the gap is what it was before.
    """
    reach = NORMAL.inv_cdf((1 + interval) / 2)
    apart = offline_sd**2 + shadow_sd**2
    if np.isnan(shadow):
        gap, gap_variance = 0.0, scale**2
        joint, joint_variance = offline, offline_sd**2 + scale**2
    else:
        moved = scale**2 / (scale**2 + apart)
        gap, gap_variance = moved * (shadow - offline), moved * apart
        promised = offline_sd**2 + scale**2
        weight = promised / (promised + shadow_sd**2)
        joint, joint_variance = weight * shadow + (1 - weight) * offline, weight * shadow_sd**2
    gap_sd, joint_sd = np.sqrt(gap_variance), np.sqrt(joint_variance)
    known = margin is not None
    return {
        "gap": gap, "gap_sd": gap_sd, "gap_lower": gap - reach * gap_sd, "gap_upper": gap + reach * gap_sd,
        "margin": margin if known else np.nan,
        "prior_beyond": _beyond(0.0, scale, margin) if known else np.nan,
        "beyond": _beyond(gap, gap_sd, margin) if known else np.nan,
        "joint": joint, "joint_sd": joint_sd,
    }


def _columns(layer: str, draws: np.ndarray, interval: float) -> dict[str, float]:
    found = summarise(draws, interval=interval)
    return {layer: found["mean"]} | {f"{layer}_{name}": found[name] for name in ("sd", "lower", "upper")}


def _change(own: np.ndarray, row: dict[str, float]) -> np.ndarray:
    """What moves and stretches draws of the test set's contrast to the live posterior."""
    stretch = row["joint_sd"] / row["offline_sd"] if row["offline_sd"] > 0 else 1.0
    return row["joint"] - row["offline"] + (own - own.mean()) * (stretch - 1)


def live_contrasts(deltas: dict[str, xr.DataArray], gaps: pd.DataFrame) -> dict[str, xr.DataArray]:
    """Move and stretch the draws of contrasts to the live posterior, where there is one.

    Parameters
    ----------
    deltas : dict of DataArray (sample, model, slice)
        From `gates.contrasts`; every method is moved alike.
    gaps : DataFrame
        From `transport_gap`, rows of the criterion. Models and slices without a row, or whose shadow nobody judged,
        stay as they are.
    """
    known, found = list(gaps[gaps["shadow"].notna()].itertuples()), {}
    for name, one in deltas.items():
        moved = one.transpose("sample", "model", "slice").copy(deep=True)
        places = [{label: place for place, label in enumerate(one[dim].to_numpy().tolist())}
                  for dim in ("model", "slice")]
        for row in known:
            here = (slice(None), places[0][row.model], places[1][row.slice])
            own = moved.values[here].copy()
            change = _change(own, row._asdict())
            # What the shadow did not see stays as the test set has it.
            moved.values[here] = own + row.covered * change
        found[name] = moved
    return found


def at_margins(gaps: pd.DataFrame, plan: Plan, features: dict[str, xr.Dataset]) -> pd.DataFrame:
    """Hold gaps against the margins of another plan; the contrasts themselves stay.

    Parameters
    ----------
    gaps : DataFrame
        From `transport_gap`.
    plan : Plan
        With the margins.
    features : dict of Dataset
        Criterion to its features of the test set.
    """
    rows, scale = [], {name: gap_scale(plan, features[name]) for name in gaps["criterion"].unique()}
    for row in gaps.itertuples():
        spec = plan.criterion(row.criterion)
        margin = spec.margin if row.slice == TOTAL else spec.slice_margin
        rows.append([np.nan] * 4 if margin is None else [
            margin, _beyond(0.0, scale[row.criterion], margin), _beyond(row.gap, row.gap_sd, margin),
            float(ndtr((row.overall + margin) / row.overall_sd)) if row.overall_sd > 0 else np.nan])
    numbers = np.array(rows, dtype=float).reshape(-1, 4).T
    found = gaps.assign(**dict(zip(("margin", "prior_beyond", "beyond", "prob_noninferior"), numbers, strict=True)))
    return found.assign(flagged=found["beyond"] >= FLAGGED_AT)


def transport_check(gaps: pd.DataFrame, plan: Plan, criterion: CriterionSpec) -> CheckResult:
    """Live requests show the contrast that the test set promised, within the margin."""
    mine = gaps[(gaps["criterion"] == criterion.id) & (gaps["slice"] == TOTAL)]
    if mine.empty or mine["shadow"].isna().all():
        text = (f"Whether {criterion.id} holds on live requests is not known: people judged no live outputs of a "
                f"candidate and of {plan.incumbent} on it.")
        return CheckResult(HOLDS_LIVE, None, text, criterion.id, table=mine)
    if criterion.margin is None:
        return CheckResult(HOLDS_LIVE, None, f"{criterion.id} has no margin to hold the gap to live requests against.",
                           criterion.id, table=mine)
    flagged = mine[mine["flagged"]]
    worst = mine.loc[mine["beyond"].idxmax()]
    text = gap_sentence(worst, plan, criterion, seen_part(gaps, criterion.id))
    return CheckResult(HOLDS_LIVE, flagged.empty, text, criterion.id, models=tuple(flagged["model"]), table=mine)


def seen_part(gaps: pd.DataFrame, criterion: str) -> str:
    """Name the part of traffic that live requests speak of, as in "tweets (80% of traffic)"; empty where it is all."""
    mine = gaps[gaps["criterion"] == criterion]
    covered = mine.loc[mine["slice"] == TOTAL, "covered"].min()
    if not covered < 1 - 1e-9:
        return ""
    names = list(dict.fromkeys(mine.loc[mine["slice"] != TOTAL, "slice"]))
    told = listed(names) if len(names) <= MOST_NAMED else counted(len(names), "slice")
    return f"{told} ({share(covered)} of traffic)"


def gap_sentence(row: pd.Series, plan: Plan, criterion: CriterionSpec, part: str) -> str:
    """Say what was promised, what live requests show, and how likely the two are further apart than the margin.

    `part`, from `seen_part`, says of which part of traffic.
    """
    unit = unit_of(criterion)
    where = f" in {part}" if part else ""
    return (f"For live requests{where} the test set promised {row['model']} {unit.change(row['offline'], unit=True)} "
            f"against {plan.incumbent} on {criterion.id}, and {row['n_labels']} judged live outputs show "
            f"{unit.change(row['shadow'], unit=True)}; the probability that the two differ by more than the margin of "
            f"{unit.size(criterion.margin)} is {chance(row['beyond'])} ({chance(row['prior_beyond'])} before any was "
            "judged).")


def _beyond(mean: float, sd: float, margin: float) -> float:
    """P(|δ| > margin) of a normal."""
    if sd == 0:
        return float(abs(mean) > margin)
    return float(ndtr((-margin - mean) / sd) + ndtr((mean - margin) / sd))
