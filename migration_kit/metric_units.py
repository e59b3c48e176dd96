"""Which metrics speak in the unit of their criterion, so that both may stand on one axis."""

import xarray as xr

from migration_kit.crosschecks import on_scale


def metrics_in_unit(features: xr.Dataset) -> list[str]:
    """Name the metrics whose raw contrasts may stand beside the criterion's; see `crosschecks.on_scale`.

    Parameters
    ----------
    features : Dataset
        From `features.build_features`.

    Returns
    -------
    list of str
        In the order of the criterion. Raw contrasts of the others (a latency, a score from 0 to 100) are numbers of
        their own and must not be held against the margin.
    """
    value = features["value"].transpose("metric", ...).to_numpy()
    named = zip(features["metric"].to_numpy().tolist(), value, strict=True)
    return [name for name, one in named if on_scale(one, features)]
