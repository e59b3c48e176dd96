"""How soon does the decision explorer answer? Writes benchmarks/results/explorer.csv.

On the support assistant's shape (5 candidates, 5 criteria, 6 regions, live requests joined, 4 chains of 600 draws; the
draws are made up, since only their number matters) every kind of control is moved many times. Time runs from the new
value to the last widget that was told; what JupyterLab adds, a message and a repaint, is not in it. ``ratio`` is the
median over the goal of 100 ms; the largest one counts.

Run: python benchmarks/explorer.py --moves 100
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from common import code_digest, write_result

from migration_kit.checks import CORRECTED_AGREES, CheckResult
from migration_kit.data import load_data
from migration_kit.estimands import TOTAL
from migration_kit.features import build_features
from migration_kit.plan import Plan, load_plan
from migration_kit.requirements import check_requirements
from migration_kit.transport import gap_scale, transport_check, transport_gap
from migration_kit.widgets.explore import stored
from migration_kit.widgets.explorer import decision_explorer

GOAL, SEED = 0.1, 7
PLAN = Path(__file__).parents[1] / "data" / "support" / "migration.yml"
CHAINS, DRAWS = 4, 600


def made_up(plan, features: xr.Dataset, models: list[str], rng: np.random.Generator) -> xr.Dataset:
    """Quality draws near the labels' means, totals weighted by traffic."""
    shape = (CHAINS, DRAWS, len(models), features.sizes["slice"])
    centre = np.nanmean(features["label"].sel(model=models).to_numpy(), axis=0)[:, None]
    wide = 0.03 * features.attrs["spread"]
    parts = np.nan_to_num(centre) + wide * rng.standard_normal(shape)
    total = (parts * features["share"].to_numpy()).sum(axis=-1, keepdims=True)
    values = (("chain", "draw", "model", "slice"), np.concatenate([total, parts], axis=-1))
    return xr.Dataset({"calibrated": values, "corrected": values},
                      coords={"model": models, "slice": ["all", *features["slice"].to_numpy()]})


def gap(plan: Plan, features: xr.Dataset, offline: xr.Dataset, rng: np.random.Generator) -> pd.DataFrame:
    """Hold two candidates against made-up live draws with 200 judged outputs of each."""
    shadow = made_up(plan, features, [plan.incumbent, *plan.candidates[-2:]], rng)
    judged = pd.DataFrame(200, index=plan.model_ids, columns=[TOTAL, *features["slice"].to_numpy()])
    return transport_gap(offline, shadow, features, plan, scale=gap_scale(plan, features), labels=judged)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moves", type=int, default=100)
    given = parser.parse_args()
    plan, rng = load_plan(PLAN), np.random.default_rng(SEED)
    data = load_data(plan)
    features = {one.id: build_features(data, plan, one.id) for one in plan.criteria}
    draws = {name: made_up(plan, one, list(plan.model_ids), rng) for name, one in features.items()}
    gaps = pd.concat([gap(plan, features[gate.id], draws[gate.id], rng) for gate in plan.gates], ignore_index=True)
    checks = [transport_check(gaps, plan, gate) for gate in plan.gates]
    checks += [CheckResult(CORRECTED_AGREES, False, "", gate.id, models=plan.candidates[:1])
               for gate in plan.gates]
    start = time.perf_counter()
    explorer = decision_explorer(stored(plan, draws, features=features, requirements=check_requirements(plan, data),
                                        checks=checks, gaps=gaps))
    rows = [{"moved": "nothing: made", "moves": 1, "median_s": time.perf_counter() - start}]
    for moved, group in explorer.controls.items():
        if not group:
            continue
        slider = next(iter(group.values())).slider
        low, high = (slider.base**end if hasattr(slider, "base") else end for end in (slider.min, slider.max))
        took = []
        for value in np.linspace(low, high, given.moves + 1)[1:]:
            start = time.perf_counter()
            slider.value = type(slider.value)(value)
            took.append(time.perf_counter() - start)
        rows.append({"moved": moved, "moves": given.moves, "median_s": np.median(took),
                     "p95_s": np.quantile(took, 0.95), "ratio": np.median(took) / GOAL})
    # What one control is moved to stays while the next is moved, so the last kinds carry all that came before.
    table = pd.DataFrame(rows).assign(candidates=len(plan.candidates), criteria=len(plan.criteria),
                                      draws=CHAINS * DRAWS)
    code = code_digest(modules=("gates", "labels_needed", "transport", "widgets/explore", "widgets/explorer",
                                "widgets/view"))
    write_result(table, "explorer", seed=SEED, code=code)


if __name__ == "__main__":
    main()
