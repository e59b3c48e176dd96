"""Which metrics would have misled when believed alone."""

import numpy as np
import pandas as pd
import xarray as xr

from migration_kit.crosschecks import raw_draws
from migration_kit.estimands import TOTAL, contrast
from migration_kit.metric_units import metrics_in_unit
from migration_kit.plan import Plan
from migration_kit.wording import chance, signed, unit_of

ALARM_PROBABILITY = 0.95


def raw_alarms(draws: dict[str, xr.Dataset], features: dict[str, xr.Dataset], plan: Plan) -> pd.DataFrame:
    """Name every metric whose own contrast has the opposite sign of the calibrated one.

    Returns
    -------
    DataFrame
        criterion, metric, model, raw (in the metric's own unit), calibrated, prob_opposite, alarm, text. An alarm is a
        probability of at least 0.95 that the two differ in sign: believed alone, the metric would have misled. No rows
        of a candidate whose outputs, or the incumbent's, people have not judged: what stands for it is a guess that
        rests on metrics itself.
    """
    rows = []
    for criterion, of_criterion in draws.items():
        spec = plan.criterion(criterion)
        calibrated = contrast(of_criterion["calibrated"].sel(slice=TOTAL), incumbent=plan.incumbent, better=spec.better)
        unit = unit_of(spec)
        judged = features[criterion]["label"].notnull().any("item").to_series()
        raw = raw_draws(features[criterion], plan, traffic=True, draws=4000, seed=plan.sampling.seed)
        in_unit = metrics_in_unit(features[criterion])
        for metric in raw["metric"].to_numpy():
            for model in plan.candidates:
                one, other = raw.sel(metric=metric, model=model).to_numpy(), calibrated.sel(model=model).to_numpy()
                if np.isnan(one).any() or not judged[model] or not judged[plan.incumbent]:
                    continue
                # A difference of exactly 0, of a constant metric or of identical outputs, says neither.
                up, down, better, worse = (one > 0).mean(), (one < 0).mean(), (other > 0).mean(), (other < 0).mean()
                opposite = float(up * worse + down * better)
                told = unit.change(other.mean(), unit=True)
                own = (unit.change(one.mean(), unit=True) if metric in in_unit else
                       f"{signed(one.mean(), 3)} in its own unit")
                text = (f"{metric} says {model} is {_word(one)} than {plan.incumbent} on {criterion} (raw difference "
                        f"{own}); calibrated against people it is {_word(other)} "
                        f"({told}). Probability that the signs differ: {chance(opposite)}.")
                rows.append({"criterion": criterion, "metric": metric, "model": model, "raw": one.mean(),
                             "calibrated": other.mean(), "prob_opposite": opposite,
                             "alarm": opposite >= ALARM_PROBABILITY, "text": text})
    columns = ["criterion", "metric", "model", "raw", "calibrated", "prob_opposite", "alarm", "text"]
    return pd.DataFrame(rows, columns=columns)


def _word(contrasts: np.ndarray) -> str:
    return "better" if contrasts.mean() > 0 else "worse"
