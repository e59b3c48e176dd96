"""Sampling: compiled once for all criteria of a kind, seeded, returned as a DataTree."""

import warnings
from dataclasses import dataclass
from functools import reduce

import nutpie
import xarray as xr

from migration_kit.calibration import build_model, model_data
from migration_kit.judgments import label_rows
from migration_kit.plan import SamplingSpec
from migration_kit.shape import Shape, joined, shape_of

TARGET_ACCEPT = 0.95
TARGET_ACCEPT_AGAIN = 0.99
DIVERGENT_SHARE = 0.001
FAST_DRAWS = 250
BY_ITEM = ("hardness", "output_z", "cluster_z", "model_cluster_z", "rival_z")
INNER = (*BY_ITEM, "level_z", "weight_z", "trust_z", "item_share_z", "residual_z", "gap_z", "spread_z", "stratum_z",
         "rater_z", "exclusion_share", "slice_t", "model_slice_t", "group_t", "model_group_t")


@dataclass(frozen=True)
class Compiled:
    """Models ready to sample, one for each kind of criterion, with the shape each holds."""

    parts: tuple[tuple[Shape, nutpie.compile_pymc.CompiledPyMCModel], ...]

    def sampler(self, rows: xr.Dataset) -> tuple[Shape, nutpie.compile_pymc.CompiledPyMCModel]:
        """Return the shape and the model that hold the rows.

        Raises
        ------
        ValueError
            None was compiled for rows like these.
        """
        for shape, sampler in self.parts:
            if shape.holds(rows):
                return shape, sampler
        raise ValueError(f"models were compiled for {[shape for shape, _ in self.parts]}, the criterion has "
                         f"{shape_of(rows)}")


def compile_model(features: list[xr.Dataset]) -> Compiled:
    """Compile models that hold every criterion given, one for each kind; the costly step, about ten seconds each.

    Parameters
    ----------
    features : list of Dataset
        One a criterion, from `features.build_features`; all of the same models and slices.
    """
    kinds: dict[tuple, list[xr.Dataset]] = {}
    for rows in map(label_rows, features):
        kinds.setdefault(shape_of(rows).kind, []).append(rows)
    parts = []
    for rows in kinds.values():
        shape = reduce(joined, map(shape_of, rows))
        model = build_model(shape, model_data(rows[0], shape))
        parts.append((shape, nutpie.compile_pymc_model(model, backend="numba")))
    return Compiled(tuple(parts))


def fit(
    features: xr.Dataset, sampling: SamplingSpec, *, compiled: Compiled | None = None, fast: bool = False,
    prior_scale: float = 1.0,
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
    prior_scale : float
        Factor on the scale of every prior, to see what hangs on them.

    Returns
    -------
    DataTree
        ``posterior`` (chain, draw, …), see `calibration.build_model`; ``sample_stats``. Attributes: target_accept,
        divergent_share (the largest allowed), fast. Worry when divergences exceed 0.1% after the automatic second try.
    """
    compiled = compiled or compile_model([features])
    rows = label_rows(features)
    shape, sampler = compiled.sampler(rows)
    sampler = sampler.with_data(**model_data(rows, shape, prior_scale=prior_scale))
    target = TARGET_ACCEPT
    tree = _sample(sampler, sampling, target=target, fast=fast)
    if float(tree["sample_stats"]["diverging"].mean()) > DIVERGENT_SHARE:
        target = TARGET_ACCEPT_AGAIN
        tree = _sample(sampler, sampling, target=target, fast=fast)
    posterior = tree["posterior"].to_dataset()
    dims = [dim for dim in posterior.dims if dim.startswith(BY_ITEM)]
    kept = posterior.drop_dims(dims, errors="ignore").drop_vars(INNER, errors="ignore")
    kept = kept.isel(component=slice(features.sizes["component"]))
    kept = kept.assign_coords(model=features["model"].to_numpy(), slice=features["slice"].to_numpy())
    if "rater" in kept.dims:
        kept = kept.isel(rater=slice(features.sizes["rater"])).assign_coords(rater=features["rater"].to_numpy())
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
                             target_accept=target, progress_bar=False, save_warmup=False)
