"""What would change a verdict: margin, traffic mix, prior and weight at which it turns, each alone.

All of it is read off the posterior draws; nothing is fitted again. Totals are linear in the shares of slices, and
another prior weighs the same draws anew.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.gates import GateDraws, Standing, slice_probability, verdict_of
from migration_kit.plan import Plan
from migration_kit.power_scaling import log_prior, power_weights
from migration_kit.wording import fixed, listed, share, unit_of

COLUMNS = ("candidate", "what", "criterion", "where", "at", "now", "verdict", "sentence")
MIX_STEPS = 1000
POWERS = 2.0 ** (np.arange(1, 13) / 4)


class Change(NamedTuple):
    """The evidence on a candidate along a path: what each gate's probabilities would be."""

    hold: np.ndarray
    worse: np.ndarray
    slices: np.ndarray


def flip_points(
    plan: Plan, gates: dict[str, GateDraws], model: str, *, shares: pd.Series, standing: Standing,
    fits: dict[str, xr.DataTree] | None = None,
) -> pd.DataFrame:
    """Find what would change the verdict on a candidate.

    Parameters
    ----------
    plan : Plan
    gates : dict of GateDraws
        Criterion to the draws of its contrast; gates without labels left out, they cannot be told.
    model : str
        The candidate.
    shares : Series
        Slice to its share of traffic.
    standing : Standing
    fits : dict of DataTree, optional
        Criterion to its fit; without it priors are not looked at.

    Returns
    -------
    DataFrame
        `COLUMNS`. ``what``: margin, slice margin, traffic, prior, requirement or check · ``criterion`` · ``where``: the
        slice, or the direction of the prior · ``at``: margin, share of traffic or factor on the priors' scale at which
        the verdict turns, NaN where none does · ``now``: what it is now · ``verdict``: what it would become ·
        ``sentence``; gates that turn nowhere share one. Worry about an ``at`` that lies near ``now``.
    """
    why = ("requirement", "a requirement fails, so the verdict is keep") if standing.failed else (
        "check", "a check leaves no verdict but collect") if standing.blocked else (
        "check", "a gate has no labels, so the verdict is collect") if len(gates) < len(plan.gates) else None
    if why:
        return _table([_row(model, why[0], f"{model}: {why[1]} whatever margin, traffic and prior.")])
    if standing.flagged:
        # Whether there is a gap depends on the margin too, so nothing is said of margins.
        return _table([_row(model, "check", f"{model}: live requests contradict the test set, so the verdict is not "
                                            "switch whatever traffic and prior.")])

    def judged(change: Change) -> np.ndarray:
        return verdict_of(*change, assurance=plan.decision.assurance, slice_assurance=plan.decision.slice_assurance,
                          standing=standing)

    present, rows = _present(gates), []
    still = []
    for name in gates:
        margins = list(_margins(gates, name, model, present, judged))
        still += [] if margins else [name]
        rows += [*margins, *_slice_margins(gates, name, model, present, judged)]
    if still:
        rows.append(_row(model, "margin", f"No other margin on {listed(still, last='or')} alone changes the verdict on "
                                          f"{model}."))
    rows += _traffic(gates, model, present, judged, shares)
    still = []
    for name in gates if fits else ():
        priors = list(_priors(gates, name, model, present, judged, fits[name]))
        still += [] if priors else [name]
        rows += priors
    if still:
        rows.append(_row(model, "prior", f"Priors on {listed(still)} up to {fixed(POWERS[-1] ** 0.5, 1)} times as wide "
                                         f"or as narrow do not change the verdict on {model}.", now=1.0))
    return _table(rows)


def weight_flips(
    plan: Plan, expected: dict[str, dict[str, float]], ready: list[str]
) -> pd.DataFrame:
    """Find the weight of each criterion at which another candidate would have the highest expected utility.

    Parameters
    ----------
    plan : Plan
    expected : dict
        Criterion to candidate to expected contrast, made comparable between scales.
    ready : list of str
        Candidates that may replace the incumbent; fewer than two leave nothing to weigh.

    Returns
    -------
    DataFrame
        `COLUMNS`; ``candidate`` is the one that would win, ``where`` the one that wins now.
    """
    rows = []
    weights = {c.id: c.weight for c in plan.criteria if c.id in expected}
    if len(ready) < 2 or len(weights) < 2:
        return _table(rows)
    utility = {model: sum(w * expected[c][model] for c, w in weights.items()) for model in ready}
    best = max(ready, key=utility.get)
    for criterion, weight in weights.items():
        found = []
        for other in ready:
            steeper = expected[criterion][other] - expected[criterion][best]
            if other != best and steeper:
                at = weight + (utility[best] - utility[other]) / steeper
                found += [(abs(at - weight), at, other)] if at >= 0 else []
        if found:
            _, at, other = min(found)
            side = "above" if at > weight else "below"
            rows.append(_row(other, "weight", f"With a weight of {criterion} {side} {fixed(at)} instead of "
                             f"{fixed(weight)}, {other} would have a higher expected utility than {best}.",
                             criterion=criterion, where=best, at=at, now=weight, verdict="switch"))
    return _table(rows)


def _present(gates: dict[str, GateDraws]) -> Change:
    """The probabilities as they are."""
    held = [[(total > -gate.spec.margin).mean() for total in gate.totals] for gate in gates.values()]
    slices = [slice_probability(gate) for gate in gates.values()]
    return Change(np.array([min(one) for one in held]), np.array([1 - max(one) for one in held]),
                  np.concatenate([*slices, np.zeros(0)]))


def _columns(gates: dict[str, GateDraws], name: str) -> slice:
    """Where a gate's slices stand among those of all gates with a slice margin."""
    count = {one: len(gate.names) * (gate.spec.slice_margin is not None) for one, gate in gates.items()}
    start = sum(list(count.values())[:list(count).index(name)])
    return slice(start, start + count[name])


def _along(present: Change, steps: int, **changed: np.ndarray) -> Change:
    """Repeat the present along a path and put in what changes there."""
    parts = {name: np.repeat(value[None], steps, axis=0) for name, value in present._asdict().items()}
    return Change(**(parts | changed))


def _replaced(values: np.ndarray, position: int | slice, path: np.ndarray) -> np.ndarray:
    out = np.repeat(values[None], len(path), axis=0)
    out[:, position] = path
    return out


def _turns(path: np.ndarray, verdicts: np.ndarray, now: float, present: str) -> Iterator[tuple[float, str]]:
    """The nearest point above and the nearest below the present where the verdict is another."""
    for side, pick in ((path > now, np.argmin), (path < now, np.argmax)):
        other = side & (verdicts != present)
        if other.any():
            at = pick(np.where(other, path, np.inf if pick is np.argmin else -np.inf))
            yield float(path[at]), str(verdicts[at])


def _share_below(values: list[np.ndarray], path: np.ndarray) -> np.ndarray:
    """Share of values below each point of a path, dims (path, column)."""
    return np.stack([np.searchsorted(np.sort(one), path, side="left") / len(one) for one in values], axis=1)


def _margins(gates, name: str, model: str, present: Change, judged: Callable) -> Iterator[dict]:
    gate, number = gates[name], list(gates).index(name)
    unit, now = unit_of(gate.spec), gate.spec.margin
    losses = [-total for total in gate.totals]
    # A gate that holds with more than a draw's loss turns just above it, not at the next draw.
    path = np.unique(np.concatenate([*losses, *(np.nextafter(one, np.inf) for one in losses), [now]]))
    path = path[path > 0]
    held = _share_below(losses, path)
    change = _along(present, len(path), hold=_replaced(present.hold, number, held.min(axis=1)),
                    worse=_replaced(present.worse, number, 1 - held.max(axis=1)))
    verdict = str(judged(present))
    for at, other in _turns(path, judged(change), now, verdict):
        limit = "from" if at > now else "below"
        yield _row(model, "margin", f"With a margin on {name} {limit} {unit.limit(at, up=at > now)}"
                   f"{' on' if at > now else ''} instead of {unit.size(now)}, the verdict on {model} would be {other}.",
                   criterion=name, at=at, now=now, verdict=other)


def _slice_margins(gates, name: str, model: str, present: Change, judged: Callable) -> Iterator[dict]:
    gate = gates[name]
    if gate.spec.slice_margin is None:
        return
    unit, now = unit_of(gate.spec), gate.spec.slice_margin
    losses = list(-gate.slices.T)
    path = np.unique(np.quantile(np.concatenate([-gate.slices.ravel(), [now]]), np.linspace(0, 1, 4001)))
    path = path[path > 0]
    held = _share_below(losses, path)
    change = _along(present, len(path), slices=_replaced(present.slices, _columns(gates, name), held))
    for at, other in _turns(path, judged(change), now, str(judged(present))):
        weakest = gate.names[int(_share_below(losses, np.array([at]))[0].argmin())]
        limit = "from" if at > now else "below"
        yield _row(model, "slice margin", f"With a slice margin on {name} {limit} {unit.limit(at, up=at > now)}"
                   f"{' on' if at > now else ''} instead of {unit.size(now)}, the verdict on {model} would be {other}; "
                   f"{weakest} decides.", criterion=name, where=weakest, at=at, now=now, verdict=other)


def _traffic(gates, model: str, present: Change, judged: Callable, shares: pd.Series) -> Iterator[dict]:
    """The smallest share of all traffic that would have to move to one slice, taken alike from the others."""
    if len(shares) < 2:
        return
    moved, verdict, found = np.arange(MIX_STEPS + 1) / MIX_STEPS, str(judged(present)), []
    for position, name in enumerate(shares.index):
        held = [_held_on_the_way(gate, position) for gate in gates.values()]
        hold = np.stack([one.min(axis=0) for one in held], axis=1)
        worse = np.stack([1 - one.max(axis=0) for one in held], axis=1)
        turned = np.nonzero(judged(_along(present, len(moved), hold=hold, worse=worse)) != verdict)[0]
        turned = turned[turned > 0]
        if len(turned):
            other = str(judged(Change(hold[turned[0]], worse[turned[0]], present.slices)))
            tipped = list(gates)[int(np.abs(hold[turned[0]] - hold[0]).argmax())]
            found.append((moved[turned[0]], name, other, tipped))
    if not found:
        yield _row(model, "traffic", f"No shift of traffic towards one slice changes the verdict on {model}.")
        return
    t, name, other, tipped = min(found)
    now = float(shares[name])
    at = now + t * (1 - now)
    moving = "all" if share(t) == share(1.0) else f"{share(t)} of all"
    yield _row(model, "traffic", f"If {share(at)} of traffic were {name} instead of {share(now)}, the verdict on "
               f"{model} would be {other}: {moving} other traffic would have to move there.",
               criterion=tipped, where=str(name), at=at, now=now, verdict=other)


def _held_on_the_way(gate: GateDraws, position: int) -> np.ndarray:
    """P(contrast > −margin) by method while traffic moves to one slice, dims (method, step).

    In every draw the contrast moves on a line, so it passes the margin at most once, at a place known exactly.
    """
    end = gate.slices[:, position] + gate.spec.margin
    out = []
    for total in gate.totals:
        start = total + gate.spec.margin
        crosses = (start > 0) != (end > 0)
        step = np.ceil(MIX_STEPS * start[crosses] / (start - end)[crosses] - 1e-9).astype(int)
        change = np.bincount(np.clip(step, 0, MIX_STEPS), weights=np.where(end[crosses] > 0, 1.0, -1.0),
                             minlength=MIX_STEPS + 1)
        out.append(((start > 0).sum() + np.cumsum(change)) / len(total))
    return np.stack(out)


def _priors(gates, name: str, model: str, present: Change, judged: Callable, fit: xr.DataTree) -> Iterator[dict]:
    """The smallest power of the priors of one criterion at which the verdict turns, as a factor on their scale."""
    gate, number, own = gates[name], list(gates).index(name), _columns(gates, name)
    density, verdict = log_prior(fit).to_numpy().ravel(), str(judged(present))
    reach, beyond = {"wider": 1.0, "narrower": 1.0}, set()
    for power in POWERS:
        for where, one in (("wider", 1 / power), ("narrower", power)):
            weights, reliable = power_weights(density, one)
            if where in beyond or not reliable:
                beyond.add(where)
                continue
            held = [np.average(total > -gate.spec.margin, weights=weights) for total in gate.totals]
            hold, worse, slices = (part.copy() for part in present)
            hold[number], worse[number], slices[own] = min(held), 1 - max(held), slice_probability(gate, weights)
            other, reach[where] = str(judged(Change(hold, worse, slices))), float(power**0.5)
            if other != verdict:
                yield _row(model, "prior", f"With priors on {name} {fixed(reach[where])} times as "
                           f"{'wide' if where == 'wider' else 'narrow'}, the verdict on {model} would be {other}.",
                           criterion=name, where=where, at=one**-0.5, now=1.0, verdict=other)
                return
    if beyond:
        told = " and ".join(f"{fixed(factor)} times as {'wide' if where == 'wider' else 'narrow'}"
                            for where, factor in reach.items())
        yield _row(model, "prior", f"Priors on {name} up to {told} do not change the verdict on {model}; for "
                   f"{listed(sorted(beyond))} ones these draws cannot tell.", criterion=name, now=1.0)


def _row(model: str, what: str, sentence: str, *, criterion: str = "", where: str = "", at: float = np.nan,
         now: float = np.nan, verdict: str = "") -> dict:
    return dict(zip(COLUMNS, (model, what, criterion, where, float(at), float(now), verdict, sentence), strict=True))


def _table(rows: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"at": float, "now": float})
