"""The items people should judge next: drawn at random within strata, with the probability of having been labelled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.data import EvalData
from migration_kit.features import identical_outputs
from migration_kit.label_design import Design, allocate, inclusion, label_design, worth_at_random
from migration_kit.plan import Plan

ALIKE, SAME, APART, RARE = "outputs word for word the same", "metric says the same", "metric tells them apart", "rarer"
MISSING = "metric is missing"
SAYS = (APART, SAME, RARE, MISSING, ALIKE)
ASK_COLUMNS = ["item_id", "criterion", "model", "opponent", "output", "position"]
INCLUSION_COLUMNS = ["item_id", "criterion", "inclusion_prob", "stratum", "items", "before", "drawn"]
DIGITS = 9
NOTICEABLE = 2


@dataclass(frozen=True)
class LabelPlan:
    """What people should judge next.

    Attributes
    ----------
    criterion : str
        The one that decides which items help most.
    criteria : tuple of str
        All that people are asked about, in the order of the plan.
    models : tuple of str
        Candidates that are judged, beside the incumbent.
    items : tuple of str
        Drawn, in random order.
    asks : DataFrame
        item_id, criterion, model, opponent ("" but for preferences), output (equal numbers: word for word the same, one
        judgment does for all), position (of the item in the order drawn): what has no judgment yet.
    strata : DataFrame
        slice, says (one of `SAYS`), pattern, share (of the target), items, labelled, next, at_random (what a random
        draw would give on average): one row a stratum.
    inclusion : DataFrame
        item_id, criterion, inclusion_prob (of having been labelled once these are) · stratum, items (in it), before
        (probability in earlier rounds, missing where the item had no label), drawn: what that rests on, see
        `with_answers`. One row an item with a judgment or drawn.
    worth : float
        Items drawn at random that would tell as much of the contrast on `criterion`.
    design : Design
    """

    criterion: str
    criteria: tuple[str, ...]
    models: tuple[str, ...]
    items: tuple[str, ...]
    asks: pd.DataFrame
    strata: pd.DataFrame
    inclusion: pd.DataFrame
    worth: float
    design: Design


def plan_labels(
    plan: Plan, data: EvalData, features: Mapping[str, xr.Dataset], *, criterion: str, criteria: Sequence[str],
    models: Sequence[str], n: int, seed: int, urgency: np.ndarray | None = None,
) -> LabelPlan:
    """Draw the next items that people should judge.

    Parameters
    ----------
    plan : Plan
    data : EvalData
    features : mapping
        Of the criteria people are asked about.
    criterion : str
        The one whose contrast the labels should settle, one of `criteria`.
    criteria : sequence of str
    models : sequence of str
        Candidates to ask about.
    n : int
        Items; fewer, or none, where not so many are left.
    seed : int
        Equal seeds draw equal items.
    urgency : ndarray (slice,), optional
        See `label_design.label_design`.
    """
    criteria = tuple(one.id for one in plan.criteria if one.id in criteria)
    features = {name: _readable(features[name], data, models) for name in criteria}
    of, rng = features[criterion], np.random.default_rng(seed)
    design = label_design(of, list(models), n=n, urgency=urgency)
    wanted = allocate(design, n)
    drawn = np.zeros(len(design.stratum), dtype=bool)
    for stratum, number in enumerate(wanted):
        free = np.flatnonzero((design.stratum == stratum) & ~design.labelled)
        drawn[rng.choice(free, number, replace=False)] = True
    item_id = of["item"].to_numpy()
    order = rng.permutation(np.flatnonzero(drawn))
    asks = [_asks(features[name], plan, data, models, order) for name in criteria]
    chances = [_inclusion(features[name], models, design, drawn) for name in criteria]
    return LabelPlan(
        criterion, criteria, tuple(models), tuple(item_id[order].tolist()),
        pd.concat(asks, ignore_index=True), strata_table(design, of, wanted),
        pd.concat(chances, ignore_index=True), worth_at_random(design, wanted), design)


def strata_table(design: Design, features: xr.Dataset, wanted: np.ndarray) -> pd.DataFrame:
    """One row a stratum: what the metric says in it, items, labels, and how many come next."""
    free = design.items - design.labels
    return pd.DataFrame({
        "slice": features["slice"].to_numpy()[design.slice_index],
        "says": [_says(pattern, alike, pairwise=features.attrs["kind"] == "pairwise")
                 for pattern, alike in zip(design.pattern, design.alike, strict=True)],
        "pattern": ["" if pattern is None else "-".join(map(str, pattern)) for pattern in design.pattern],
        "share": design.weight, "items": design.items, "labelled": design.labels, "next": wanted,
        "at_random": wanted.sum() * free / max(free.sum(), 1),
    })


def by_part(strata: pd.DataFrame) -> pd.DataFrame:
    """Sum the strata over slices, and over what the metric says.

    Returns
    -------
    DataFrame
        by ("slice" or "says"), name, share, items, labelled, next, at_random; a grouping with one part is left out.
    """
    numbers, parts = ["share", "items", "labelled", "next", "at_random"], []
    for by in ("slice", "says"):
        summed = strata.groupby(by, sort=False)[numbers].sum()
        if by == "says":
            summed = summed.reindex([name for name in SAYS if name in summed.index])
        if len(summed) > 1:
            parts.append(summed.reset_index(names="name").assign(by=by))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["by", "name", *numbers])


def gains(strata: pd.DataFrame) -> pd.DataFrame:
    """Return the slice, and the verdicts, that gain most over a random draw; rows of `by_part`."""
    parts = by_part(strata)
    parts = parts.assign(more=(parts["next"] - parts["at_random"]).astype(float))
    most = parts.sort_values("more", ascending=False).drop_duplicates("by")
    return most[most["more"] >= NOTICEABLE].sort_values("by", ascending=False)


def left_over(chosen: LabelPlan) -> int:
    """Items that were not judged before the draw, and could be."""
    return int((chosen.design.items - chosen.design.labels).sum())


def with_answers(inclusion_rows: pd.DataFrame, answered: set[tuple[str, str]]) -> pd.DataFrame:
    """Tell the probabilities anew where not every item drawn was judged.

    Parameters
    ----------
    inclusion_rows : DataFrame
        `LabelPlan.inclusion`, which may have been written to a file and read again.
    answered : set of (criterion, item_id)
        Drawn items that have all their judgments.

    Returns
    -------
    DataFrame
        The same rows with other ``inclusion_prob``. Tasks are judged in random order, so those without an answer are a
        random part of what was drawn.
    """
    found = inclusion_rows.copy()
    for (criterion, _), rows in inclusion_rows[inclusion_rows["stratum"] >= 0].groupby(["criterion", "stratum"]):
        size = max(int(rows["items"].iloc[0]), len(rows))
        before, now = np.zeros((2, size), dtype=bool)
        earlier = np.ones(size)
        before[: len(rows)] = rows["before"].notna()
        now[: len(rows)] = [bool(drawn) and (criterion, item) in answered
                            for drawn, item in zip(rows["drawn"], rows["item_id"], strict=True)]
        earlier[: len(rows)] = rows["before"].fillna(1.0)
        chance = inclusion(np.zeros(size, dtype=int), before, now, earlier)[: len(rows)]
        found.loc[rows.index, "inclusion_prob"] = np.where(chance > 0, _rounded(chance), rows["inclusion_prob"])
    return found


def _readable(features: xr.Dataset, data: EvalData, models: Sequence[str]) -> xr.Dataset:
    """Leave out items of which some output has no text, where outputs have texts: nobody could judge them."""
    if "text" not in data.outputs:
        return features
    text = data.outputs.pivot(index="item_id", columns="model", values="text")
    names = features["model"].to_numpy()
    text = text.reindex(index=features["item"].to_numpy(), columns=names).notna().to_numpy()
    needed = [0, *(names.tolist().index(model) for model in models)]
    whole = text[:, needed].all(axis=1)
    return features.assign(present=features["present"] & xr.DataArray(whole, dims="item"))


def _columns(features: xr.Dataset, models: Sequence[str]) -> list[int]:
    """Positions of the models that people judge on a criterion."""
    names = features["model"].to_numpy().tolist()
    first = [] if features.attrs["kind"] == "pairwise" else [0]
    return [*first, *(names.index(model) for model in models)]


def _asks(
    features: xr.Dataset, plan: Plan, data: EvalData, models: Sequence[str], order: np.ndarray
) -> pd.DataFrame:
    """Outputs of the drawn items that nobody has judged yet."""
    columns, names = _columns(features, models), features["model"].to_numpy().tolist()
    pairwise = features.attrs["kind"] == "pairwise"
    items, label = features["item"].to_numpy()[order], features["label"].to_numpy()[order]
    pool = identical_outputs(data, items, names) if pairwise else features["pool"].to_numpy()[order]
    first, rows = pool.argmax(axis=2), []
    for position, (item, judged) in enumerate(zip(items, ~np.isnan(label), strict=True)):
        rows += [[item, features.attrs["criterion"], names[column], plan.incumbent if pairwise else "",
                  int(first[position, column]), position] for column in columns if not judged[column]]
    return pd.DataFrame(rows, columns=ASK_COLUMNS)


def _inclusion(features: xr.Dataset, models: Sequence[str], design: Design, drawn: np.ndarray) -> pd.DataFrame:
    """Probabilities of one criterion for every item with a judgment or drawn, and what they rest on."""
    label, stratum = features["label"].to_numpy(), design.stratum
    earlier = features["inclusion_prob"].to_numpy()
    before = ~np.isnan(label[:, _columns(features, models)]).any(axis=1) & (stratum >= 0)
    chance = inclusion(stratum, before, drawn, earlier)
    # Judged for some of the models only, or out of reach of the design: they have no part in it.
    by_now = before | drawn
    usual = by_now.sum() / max((stratum >= 0).sum(), 1)
    chance = np.where(chance > 0, chance, np.where(earlier < 1, earlier, usual))
    new, listed = drawn & ~before, ~np.isnan(label).all(axis=1) | drawn
    size = np.append(design.items, 0)[stratum]
    rows = pd.DataFrame({
        "item_id": features["item"].to_numpy(), "criterion": features.attrs["criterion"],
        "inclusion_prob": _rounded(chance), "stratum": stratum, "items": np.where(stratum >= 0, size, 0),
        "before": np.where(before, earlier, np.nan), "drawn": new.astype(int)})
    return rows[listed].reset_index(drop=True)


def _says(pattern: tuple[int, ...] | None, alike: bool, *, pairwise: bool) -> str:
    if alike:
        return ALIKE
    if pattern is None:
        return RARE
    # Of a preference the incumbent has no verdict, and one between the lowest and the highest leans to neither.
    shown = pattern[1:] if pairwise else pattern
    if 0 in shown:
        return MISSING
    if pairwise and len(shown) == 1:
        return SAME if shown[0] == 2 else APART
    return SAME if len(set(shown)) == 1 else APART


def _rounded(chance: np.ndarray) -> np.ndarray:
    """Rounded as they are written to files, so that equal probabilities stay equal."""
    return np.array([float(f"{one:.{DIGITS}g}") for one in chance])
