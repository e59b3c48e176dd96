"""The support assistant's satisfaction, from 1 to 5, and preference against the incumbent.

Both rest on one latent satisfaction with an output: how far its difficulty and its manner stay below the thresholds of
a correct answer in good style. So a model's satisfaction follows from its rates, and its mean has a closed form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from migration_kit.simulate.pairs import score_rows
from migration_kit.simulate.support_design import (
    FIRST_DRAWN,
    SUPPORT_MODELS,
    SUPPORT_PANELS,
    SUPPORT_SEEN,
    SUPPORT_SEVERITY,
    Panel,
    by_model,
)

MODELS = list(SUPPORT_MODELS.index)
OPINION_METRICS = {"satisfaction": "satisfaction_judge", "preference": "preference_judge"}
SEEN = SUPPORT_SEEN.sum()


def satisfaction_seen(
    rates: Mapping[str, np.ndarray], region: np.ndarray, *, answer: np.ndarray, manner: np.ndarray
) -> np.ndarray:
    """Return the part of satisfaction that people and judges share, dims (item, model).

    ``answer`` and ``manner`` (item, model) are the latent difficulty and manner of every output, ``rates`` the exact
    rates of ``correct`` and ``style``, dims (model, region), ``region`` (item,) their positions.
    """
    parts = zip(np.sqrt(SUPPORT_SEEN), ("correct", "style"), (answer, manner), strict=True)
    return sum(weight * (ndtri(rates[name].T[region]) - latent) for weight, name, latent in parts)


def opinion_tables(
    item_id: np.ndarray, seen: np.ndarray, order: np.ndarray, *, n_labels: int, streams: Iterator[np.random.Generator],
    later: Iterator[np.random.Generator],
) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """Draw judges' and people's opinions.

    Parameters
    ----------
    item_id : ndarray (item,)
    seen : ndarray (item, model)
        From `satisfaction_seen`.
    order : ndarray (item,)
        Positions of items in the order of labelling.
    n_labels : int
        Items labelled for the gates: half of them are labelled for satisfaction, a tenth by three people, and five
        twelfths for preference.
    streams, later : iterator of Generator
        Six are taken, and five for the models that came later.

    Returns
    -------
    scores, held_out : list of DataFrame
        Rows as in the data contract; preferences name ``opponent`` and ``side``.
    """
    people = np.array(list(SUPPORT_SEVERITY))
    turn = next(streams).permuted(np.tile(np.arange(len(people)), (len(item_id), 1)), axis=1)
    judge, panel = SUPPORT_PANELS["satisfaction_judge"], SUPPORT_PANELS["satisfaction"]
    noise = by_model(lambda rng, which: rng.standard_normal(seen[:, which].shape), (next(streams), next(later)))
    graded = _grade(seen + judge.favour + judge.noise * noise, judge)
    own = panel.noise * by_model(lambda rng, which: rng.standard_normal((*seen[:, which].shape, len(people))),
                                 (next(streams), next(later)))
    said = _grade(seen[:, :, None] + list(SUPPORT_SEVERITY.values()) + own, panel)

    def judged(which: np.ndarray, place: int) -> pd.DataFrame:
        rater = turn[which, place]
        rows = score_rows(item_id[which], MODELS, np.take_along_axis(said[which], rater[:, None, None], 2)[:, :, 0],
                          criterion="satisfaction", rater="", rater_kind="human")
        return rows.assign(rater=np.tile(people[rater], len(MODELS)))

    once, thrice, compared = (np.sort(order[: max(1, round(share * n_labels))]) for share in (1 / 2, 1 / 10, 5 / 12))
    felt, sides = ((next(streams), next(later)) for _ in range(2))
    by_judge = _preferences(seen, SUPPORT_PANELS["preference_judge"], felt, sides)
    by_people = _preferences(seen, SUPPORT_PANELS["preference"], (next(streams), next(later)), sides)
    judges = {"criterion": "preference", "rater": "preference_judge", "rater_kind": "judge"}
    asked = {"criterion": "preference", "rater": people[turn[:, 0]], "rater_kind": "human"}
    scores = [
        score_rows(item_id, MODELS, graded, criterion="satisfaction", rater="satisfaction_judge", rater_kind="judge"),
        _preference_rows(item_id, *by_judge, np.arange(len(item_id)), **judges),
        judged(once, 0), judged(thrice, 1), judged(thrice, 2),
        _preference_rows(item_id, *by_people, compared, **asked),
    ]
    everything = np.arange(len(item_id))
    return scores, [judged(everything, 0), _preference_rows(item_id, *by_people, everything, **asked)]


def opinion_rates(rates: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the exact quality, dims (model, region).

    ``satisfaction`` is the mean of a member of the panel drawn at random, from 1 to 5; ``preference`` the net win rate
    against the incumbent where neither output has the better side, −1 to 1.
    """
    level = _level(rates)
    panel, severity = SUPPORT_PANELS["satisfaction"], np.array(list(SUPPORT_SEVERITY.values()))
    kind = np.mean([_mean_grade(level + one, panel) for one in severity], axis=0)
    return {"satisfaction": kind, "preference": _net_wins(level - level[0], SUPPORT_PANELS["preference"], side=0.0)}


def opinion_metric_means(rates: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what each judge of opinions says on average, dims (model, region), each side shown equally often."""
    level = _level(rates)
    judge, rival = SUPPORT_PANELS["satisfaction_judge"], SUPPORT_PANELS["preference_judge"]
    favour = np.array([rival.favour]).T - rival.favour[0]
    net = [_net_wins(level - level[0] + favour, rival, side=side) for side in (-0.5, 0.5)]
    net = np.mean(net, axis=0)
    net[0] = 0.0
    return {
        "satisfaction_judge": _mean_grade(level + np.array([judge.favour]).T, judge),
        "preference_judge": net,
    }


def _level(rates: Mapping[str, np.ndarray]) -> np.ndarray:
    return sum(w * ndtri(rates[name]) for w, name in zip(np.sqrt(SUPPORT_SEEN), ("correct", "style"), strict=True))


def _grade(latent: np.ndarray, panel: Panel) -> np.ndarray:
    return 1 + np.digitize(latent, panel.cuts)


def _mean_grade(level: np.ndarray, panel: Panel) -> np.ndarray:
    return 1 + sum(ndtr((level - cut) / np.sqrt(SEEN + panel.noise**2)) for cut in panel.cuts)


def _net_wins(ahead: np.ndarray, panel: Panel, *, side: float) -> np.ndarray:
    # Models correlate one half: their difference varies as much as one of them.
    spread, ahead = np.sqrt(SEEN + panel.noise**2), ahead + panel.lean * side
    return ndtr((ahead - panel.cuts[0]) / spread) - ndtr((-ahead - panel.cuts[0]) / spread)


def _preferences(
    seen: np.ndarray,
    panel: Panel,
    noise: tuple[np.random.Generator, np.random.Generator],
    sides: tuple[np.random.Generator, np.random.Generator],
) -> tuple[np.ndarray, np.ndarray]:
    """Draw win, tie or loss of every candidate, dims (item, candidate), and where its output stood, −½ or ½."""
    gap = seen[:, 1:] - seen[:, :1] + np.array(panel.favour[1:]) - panel.favour[0]
    first = FIRST_DRAWN - 1
    side = by_model(lambda rng, which: rng.choice([-0.5, 0.5], size=gap[:, which].shape), sides, first=first)
    own = by_model(lambda rng, which: rng.standard_normal(gap[:, which].shape), noise, first=first)
    felt = gap + panel.lean * side + panel.noise * own
    return (felt > panel.cuts[0]).astype(int) - (felt < -panel.cuts[0]), side


def _preference_rows(
    item_id: np.ndarray, value: np.ndarray, side: np.ndarray, which: np.ndarray, *, rater: str | Sequence[str],
    **names: str,
) -> pd.DataFrame:
    candidates = MODELS[1:]
    rows = score_rows(item_id[which], candidates, value[which], rater="", **names)
    who = rater if isinstance(rater, str) else np.tile(np.asarray(rater)[which], len(candidates))
    shown = np.where(side[which].T.ravel() < 0, "left", "right")
    return rows.assign(rater=who, opponent=MODELS[0], side=shown)
