"""Who has labels where: models by slice."""

import numpy as np
import xarray as xr


def judged_models(features: xr.Dataset) -> list[tuple[int, str]]:
    """Models that are judged, with their place: of preferences the candidates only."""
    return list(enumerate(features["model"].to_numpy().tolist()))[features.attrs["kind"] == "pairwise":]


def judged_by_slice(features: xr.Dataset) -> np.ndarray:
    """Whether any output was judged, dims (slice, judged model)."""
    columns = [place for place, _ in judged_models(features)]
    judged, slice_index = ~np.isnan(features["label"].to_numpy()[:, columns]), features["slice_index"].to_numpy()
    return np.stack([np.bincount(slice_index[one], minlength=features.sizes["slice"]) > 0 for one in judged.T], axis=1)


def unseen_slices(features: xr.Dataset) -> dict[str, np.ndarray]:
    """Candidate to the slices in which it or the incumbent has no label, dims (slice,): a contrast needs both."""
    judged, (incumbent, *candidates) = judged_by_slice(features), features["model"].to_numpy().tolist()
    place = {model: column for column, (_, model) in enumerate(judged_models(features))}
    return {model: ~judged[:, [place[one] for one in (incumbent, model) if one in place]].all(axis=1)
            for model in candidates}
