"""Does the kit recommend the good candidate, and no other, under other seeds? Writes benchmarks/results/support_*.csv.

`data/support` is one draw of a migration with known truth. Here it is drawn anew for every seed, written as tables,
read by the kit and decided: features, calibration of three gates, requirements, checks, verdict. It is decided twice,
as column `layer` says: from the test set alone, where fjord is the best candidate, and with the shadow, where fjord is
no better than the incumbent and ember is the right choice. The check of sampling is left out, because fewer draws are
taken than a decision asks for, and so are canary and ramp. `support_seeds.csv` counts verdicts and candidates that are
flagged for their gap, `support_reasons.csv` what stood behind the verdicts, `support_coverage.csv` holds the contrasts
against the truth, those of method `with live` against the truth of live requests.

Run: python benchmarks/support_seeds.py --seeds 50     a stopped run goes on where it was
"""

import argparse
import shutil
import tempfile
from dataclasses import fields
from pathlib import Path

import pandas as pd
import xarray as xr
from common import ROOT, code_digest, coverage_table, fit_all, run_replicates, write_result

from migration_kit.alarms import raw_alarms
from migration_kit.data import EvalData, load_data
from migration_kit.data_checks import data_checks
from migration_kit.decision import Decision, decide
from migration_kit.estimands import TOTAL, estimate_rows, quality
from migration_kit.features import build_features
from migration_kit.method_checks import correction_check
from migration_kit.plan import Plan, load_plan
from migration_kit.requirements import check_requirements
from migration_kit.shadow import shadow_data
from migration_kit.simulate import Simulation, simulate_support
from migration_kit.transport import shadow_gaps, transport_check

FOLDER = ROOT / "data/support"
FIRST_SEED = 50_000
DRAWS = TUNE = 400
OFFLINE, LIVE = "test set", "with live"


def read_as_tables(drawn: Simulation) -> tuple[Plan, EvalData]:
    """Write a simulation as `data/support` is written, and read it with its plan."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(FOLDER / "migration.yml", folder)
        for name in (field.name for field in fields(drawn)):
            table = getattr(drawn, name)
            if name == "traffic":
                table.to_csv(Path(folder) / f"{name}.csv", index=False)
            else:
                table.to_parquet(Path(folder) / f"{name}.parquet", index=False)
        plan = load_plan(Path(folder) / "migration.yml")
        return plan, load_data(plan)


def live_gaps(
    data: EvalData, plan: Plan, draws: dict[str, xr.Dataset], features: dict[str, xr.Dataset], *, seed: int
) -> tuple[pd.DataFrame, list[xr.DataTree]]:
    """Calibrate the gates on judged live requests; gaps to the test set, and the fits."""
    seen, own = shadow_data(data, plan)
    shadow = {gate.id: build_features(seen, own, gate.id) for gate in own.gates}
    fits = fit_all(list(shadow.values()), draws=DRAWS, tune=TUNE, seed=seed)
    live = {name: quality(fit, shadow[name], traffic=True, seed=seed)
            for name, fit in zip(shadow, fits, strict=True)}
    return shadow_gaps(draws, features, plan, shadow=live, shadow_features=shadow), fits


def told(decision: Decision, layer: str) -> dict[str, list[dict]]:
    """Rows of verdicts and of reasons."""
    together = {"switch": "all hold", "collect": "gates together"}
    verdicts, reasons = [], []
    for model, one in decision.candidates.items():
        here = {"layer": layer, "model": model, "verdict": one.verdict}
        verdicts.append(here | {"recommended": model == decision.candidate, "flagged": bool(one.gaps)})
        for reason in one.reasons:
            gap = next((name for name, text in one.gaps.items() if reason.startswith(text)), None)
            word = (f"{gap} on live requests" if gap else reason.split(":")[0] if ":" in reason
                    else together.get(one.verdict, reason))
            reasons.append(here | {"reason": word})
    return {"verdict": verdicts, "reason": reasons}


def replicate(number: int) -> pd.DataFrame:
    """Simulate and decide twice; a row a layer and candidate, and one for each contrast and reason."""
    seed = FIRST_SEED + number
    drawn = simulate_support(seed)
    plan, data = read_as_tables(drawn)
    features = {gate.id: build_features(data, plan, gate.id) for gate in plan.gates}
    fits = fit_all(list(features.values()), draws=DRAWS, tune=TUNE, seed=seed)
    draws = {name: quality(fit, features[name], traffic=True, seed=seed)
             for name, fit in zip(features, fits, strict=True)}
    checks = [check for name, one in features.items()
              for check in (*data_checks(one, plan), correction_check(draws[name], one, plan))]
    gaps, live_fits = live_gaps(data, plan, draws, features, seed=seed)
    given = {"features": features, "requirements": check_requirements(plan, data),
             "alarms": raw_alarms(draws, features, plan)}
    transported = [transport_check(gaps, plan, gate) for gate in plan.gates]
    layers = {OFFLINE: told(decide(plan, draws, checks=checks, **given), OFFLINE),
              LIVE: told(decide(plan, draws, checks=checks + transported, gaps=gaps, **given), LIVE)}
    contrasts = pd.concat([
        estimate_rows(draws[gate.id], features[gate.id], incumbent=plan.incumbent, layer="traffic",
                      interval=plan.sampling.interval, margin=gate.margin, slice_margin=gate.slice_margin)
        for gate in plan.gates])
    contrasts = contrasts[contrasts["quantity"] == "contrast"].merge(
        drawn.truth[["criterion", "model", "slice", "contrast"]].rename(columns={"contrast": "truth"}),
        on=["criterion", "model", "slice"])
    ends = {"joint": "mean", "joint_sd": "sd", "joint_lower": "lower", "joint_upper": "upper"}
    joined = gaps.rename(columns=ends).assign(method=LIVE).merge(
        drawn.live_truth.query("stage == 'shadow'")[["criterion", "model", "slice", "contrast"]].rename(
            columns={"contrast": "truth"}), on=["criterion", "model", "slice"])
    contrasts = pd.concat([contrasts, joined[joined.columns.intersection(contrasts.columns)]])
    parts = {kind: pd.DataFrame([row for layer in layers.values() for row in layer[kind]])
             for kind in ("verdict", "reason")}
    table = pd.concat(parts | {"contrast": contrasts.drop(columns="layer")}, names=["kind"]).reset_index("kind")
    return table.assign(divergent=max(float(fit["sample_stats"]["diverging"].mean()) for fit in [*fits, *live_fits]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=50)
    given = parser.parse_args()
    code = code_digest("alarms", "data_checks", "decision", "gates", "flip_points", "labels_needed", "method_checks",
                       "requirements", "shadow", "transport", "verdicts", "simulate/support",
                       "simulate/support_design", "simulate/support_live", "simulate/support_opinions")
    rows = run_replicates(f"support_seeds-{code}", replicate, given.seeds)
    once = rows.groupby("replicate")[["cpu_s", "divergent"]].first()
    print(f"{once['divergent'].mean():.2%} of draws divergent")

    verdicts = rows[rows["kind"] == "verdict"]
    shares = pd.get_dummies(verdicts["verdict"]).reindex(columns=["switch", "keep", "collect"], fill_value=False)
    table = pd.concat([verdicts[["layer", "model", "recommended", "flagged"]], shares], axis=1).astype(
        dict.fromkeys(["recommended", "flagged", *shares], float)).groupby(["layer", "model"]).mean()
    table = table.reset_index().assign(seeds=given.seeds, cpu_s=once["cpu_s"].sum())
    write_result(table, "support_seeds", seed=FIRST_SEED, code=code)

    reasons = rows[rows["kind"] == "reason"].drop_duplicates(["replicate", "layer", "model", "reason"])
    reasons = reasons.groupby(["layer", "model", "verdict", "reason"]).size().rename("seeds_with_it").reset_index()
    write_result(reasons.assign(seeds=given.seeds), "support_reasons", seed=FIRST_SEED, code=code)

    contrasts = rows[rows["kind"] == "contrast"].assign(slices=lambda r: r["slice"].where(r["slice"] == TOTAL, "each"))
    contrasts = pd.concat([contrasts, contrasts.assign(criterion="every gate")], ignore_index=True)
    write_result(coverage_table(contrasts, ["criterion", "slices", "method"]), "support_coverage", seed=FIRST_SEED,
                 code=code)


if __name__ == "__main__":
    main()
