"""Sampling: one compiled model for all criteria of equal shape, seeded, returned as a DataTree."""

import warnings
from dataclasses import dataclass

import nutpie
import xarray as xr

from migration_kit.calibration import Shape, build_model, model_data, shape_of
from migration_kit.features import label_rows
from migration_kit.plan import SamplingSpec

TARGET_ACCEPT = 0.95
TARGET_ACCEPT_AGAIN = 0.99
DIVERGENT_SHARE = 0.001
FAST_DRAWS = 250
INNER = ("level_z", "weight_z", "trust_z", "item_share_z", "slice_t", "model_slice_t", "hardness")


@dataclass(frozen=True)
class Compiled:
    """A model ready to sample, and the shape it holds."""

    sampler: nutpie.compile_pymc.CompiledPyMCModel
    shape: Shape


def compile_model(features: list[xr.Dataset]) -> Compiled:
    """Compile one model that holds every criterion given; the costly step, about ten seconds.

    Parameters
    ----------
    features : list of Dataset
        One a criterion, from `features.build_features`; all of the same models and slices.
    """
    rows = [label_rows(one) for one in features]
    shape = shape_of(rows)
    model = build_model(shape, model_data(rows[0], shape))
    return Compiled(nutpie.compile_pymc_model(model, backend="numba"), shape)


def fit(
    features: xr.Dataset, sampling: SamplingSpec, *, compiled: Compiled | None = None, fast: bool = False
) -> xr.DataTree:
    """Sample the calibration model of one criterion.

    Parameters
    ----------
    features : Dataset
        From `features.build_features`.
    sampling : SamplingSpec
        Draws, tuning steps, chains and seed.
    compiled : Compiled, optional
        From `compile_model`; compiled here when not given.
    fast : bool
        Fewer draws, for trying things out.

    Returns
    -------
    DataTree
        ``posterior`` (chain, draw, …), see `calibration.build_model`; ``sample_stats``. Attributes: target_accept,
        divergent_share (the largest allowed), fast. Worry when divergences exceed 0.1% after the automatic second try.
    """
    compiled = compiled or compile_model([features])
    rows = label_rows(features)
    if not compiled.shape.holds(rows):
        raise ValueError(f"the model was compiled for {compiled.shape}, the criterion has {shape_of([rows])}")
    sampler = compiled.sampler.with_data(**model_data(rows, compiled.shape))
    target = TARGET_ACCEPT
    tree = _sample(sampler, sampling, target=target, fast=fast)
    if float(tree["sample_stats"]["diverging"].mean()) > DIVERGENT_SHARE:
        target = TARGET_ACCEPT_AGAIN
        tree = _sample(sampler, sampling, target=target, fast=fast)
    posterior = tree["posterior"].to_dataset()
    kept = posterior.drop_vars([name for name in INNER if name in posterior], errors="ignore")
    kept = kept.drop_dims([dim for dim in kept.dims if dim.startswith("hardness")], errors="ignore")
    kept = kept.isel(component=slice(features.sizes["component"]))
    kept = kept.assign_coords(model=features["model"].to_numpy(), slice=features["slice"].to_numpy())
    stats = tree["sample_stats"].to_dataset()[["diverging", "n_steps", "energy"]]
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(attrs={"criterion": features.attrs["criterion"], "target_accept": target,
                                   "fast": int(fast), "divergent_share": DIVERGENT_SHARE}),
            "posterior": kept.astype("float32"),
            "sample_stats": stats,
        }
    )


def _sample(sampler, sampling: SamplingSpec, *, target: float, fast: bool) -> xr.DataTree:
    draws, tune = (min(FAST_DRAWS, sampling.draws), min(FAST_DRAWS * 2, sampling.tune)) if fast else (
        sampling.draws, sampling.tune)
    with warnings.catch_warnings():
        # Divergences are counted, judged and told by `checks`, not by a warning in the middle of a page.
        warnings.filterwarnings("ignore", message=".*divergen.*")
        return nutpie.sample(sampler, draws=draws, tune=tune, chains=sampling.chains, seed=sampling.seed,
                             target_accept=target, progress_bar=False)
