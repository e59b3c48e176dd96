"""A whole run folder without sampling, and notebook 05 executed on it in this process, as text by section."""

import json
from contextlib import redirect_stdout
from copy import deepcopy
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import xarray as xr
from bs4 import BeautifulSoup
from scipy.special import ndtri

from migration_kit.canary import outcome_contrasts, sample_ratio_check
from migration_kit.canary_users import base_rates, ramp_counts
from migration_kit.checks import CheckResult, check_table
from migration_kit.crosschecks import cross_checks
from migration_kit.data_checks import data_checks
from migration_kit.estimands import estimate_rows
from migration_kit.features import build_features
from migration_kit.fit_checks import sampling_check
from migration_kit.manifest import STAGES
from migration_kit.method_checks import agreement_check, correction_check
from migration_kit.overview import confusion
from migration_kit.ramp import ramp_look, simulate_ramps
from migration_kit.ramp_limits import rollback_conditions
from migration_kit.requirements import check_requirements
from migration_kit.run import open_run
from migration_kit.transport import transport_check, transport_gap

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
MODELS, REGIONS, N_ITEMS, N_LABELLED = ("old", "new", "small"), ("amer", "emea"), 60, 40
SAMPLES = 600
VERDICT = "verdict"
PLAN = {
    "title": "Tiny assistant",
    "decision": {"owner": "Head of Support", "due": "2027-01-15", "default": "keep"},
    "models": {
        "incumbent": {"id": "old", "prompt": "v1", "settings": "temperature 0", "retires": "2027-02-28",
                      "facts": {"usd_per_1k": 4.1}},
        "candidates": [{"id": "new", "prompt": "v1", "settings": "temperature 0", "facts": {"usd_per_1k": 1.3}},
                       {"id": "small", "prompt": "v1", "settings": "temperature 0", "facts": {"usd_per_1k": 0.4}}]},
    "data": {"items": {"path": "items.csv"}, "scores": [{"path": "scores.csv"}],
             "held_out": [{"path": "held_out.csv"}], "live": [{"path": "live.csv"}],
             "source": "tickets of the help desk", "period": "2026-08"},
    "metrics": [{"id": "judge-x", "by": "judge 2026-05", "family": "quill", "prompt_hash": "7c1e40d2"},
                {"id": "tone", "by": "a list of words"}, {"id": "stars", "by": "judge 2026-05"}],
    "slices": ["region"],
    "traffic": {"path": "traffic.csv", "requests_per_day": 1000, "users_per_day": 20000},
    "criteria": [
        {"id": "correct", "question": "Is the answer right?", "role": "gate", "metrics": ["judge-x"], "margin": 0.05,
         "slice_margin": 0.12, "why": "more calls than the desk can take"},
        {"id": "polite", "question": "Is it polite?", "role": "gate", "metrics": ["tone"], "margin": 0.06},
        {"id": "liked", "question": "How much do you like it?", "scale": {"ordinal": [1, 5]}, "role": "trade-off",
         "weight": 1, "metrics": ["stars"]}],
    "requirements": [{"id": "price", "fact": "usd_per_1k", "at_most": 2.0}],
    "live_outcomes": [{"id": "resolved", "role": "gate", "margin": 0.03}],
    "ramp": [0.05, 0.5, 1.0],
    "costs": {"wrong_switch": 300, "wrong_stay": 60, "unit": "thousand USD"},
    "stakeholders": [{"name": "Regional lead", "concern": "Is emea as good?", "criterion": "correct",
                      "slice": "emea", "signs": True}],
    "raters": {"who": "two support leads", "blinded": True},
    "sampling": {"draws": 300, "tune": 100, "chains": 2, "seed": 1},
}
# Candidate minus incumbent by criterion, candidate and region; the standard deviation of each.
DELTAS = {"correct": {"new": (-0.01, -0.015), "small": (0.0, 0.01)}, "polite": {"new": (0.03, 0.03),
          "small": (0.0, -0.01)}, "liked": {"new": (0.4, 0.4), "small": (0.1, 0.1)}}


@dataclass
class Case:
    """What a run is made of; a test changes a copy of it."""

    plan: dict = field(default_factory=lambda: deepcopy(PLAN))
    deltas: dict = field(default_factory=lambda: deepcopy(DELTAS))
    sd: float = 0.01
    apart: float = 0.0
    shadow: float = 0.0
    priors: str = ""
    leaning: str = ""
    tables: dict[str, pd.DataFrame] = field(default_factory=lambda: _tables())


def report(folder: Path, case: Case, *, fast: bool = False) -> dict[str, str]:
    """Write a migration, leave what stages 01 to 04 would, execute notebook 05; return its text by section.

    Keys are the second headings, `VERDICT` for the first of them, and the third headings below it.
    """
    plan = _written(folder / "data", case)
    _stages(folder / "run", plan, case, fast=fast)
    return _executed("05_report", folder / "run", plan, fast=fast)


def baseline(folder: Path, case: Case) -> dict[str, str]:
    """Execute notebook 01 on a migration; return its text by section."""
    return _executed("01_baseline", folder / "run", _written(folder / "data", case), fast=True)


def _written(source: Path, case: Case) -> Path:
    source.mkdir(parents=True, exist_ok=True)
    for name, table in case.tables.items():
        table.to_csv(source / f"{name}.csv", index=False)
    plan = source / "migration.yml"
    plan.write_text(json.dumps(case.plan), "utf-8")
    return plan


def _tables() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(1)
    items = pd.DataFrame({"item_id": [f"q{n:02d}" for n in range(N_ITEMS)], "region": np.resize(REGIONS, N_ITEMS)})
    truth = rng.random((N_ITEMS, 3)) < (0.75, 0.8, 0.6)
    parts, held = [], []
    for number, model in enumerate(MODELS):
        good = truth[:, number]
        judged, kind = np.where(rng.random(N_ITEMS) < 0.85, good, ~good), rng.random(N_ITEMS) < 0.7
        other = np.where(np.arange(N_ITEMS) % 7, good, ~good)
        for criterion, metric, value, again, said in (
                ("correct", "judge-x", good, other, judged),
                ("polite", "tone", kind, kind ^ good ^ other, kind | judged),
                ("liked", "stars", 2 + 2 * good + judged, 2 + 2 * other + judged, 2 + 2 * judged)):
            common = {"item_id": items["item_id"], "model": model, "criterion": criterion}
            parts.append(pd.DataFrame({**common, "rater": metric, "rater_kind": "judge", "value": said.astype(int)}))
            human = pd.DataFrame({**common, "rater": "anna", "rater_kind": "human", "value": value.astype(int)})
            parts.append(human.iloc[:N_LABELLED])
            parts.append(human.iloc[:20].assign(rater="ben", value=again.astype(int)[:20]))
            held.append(human)
    scores = pd.concat(parts, ignore_index=True)
    return {"items": items, "scores": scores, "held_out": pd.concat(held, ignore_index=True),
            "traffic": pd.DataFrame({"region": REGIONS, "share": (0.4, 0.6)}), "live": _live(rng)}


def _live(rng: np.random.Generator) -> pd.DataFrame:
    """Shadow requests of old and new, some of them judged, and users with either."""
    base = {"stage": "shadow", "time": "2026-11-02", "criterion": "correct"}
    rows = [{**base, "item_id": f"s{n:02d}", "model": model, "rater": rater, "rater_kind": kind,
             "value": int(rng.random() < 0.75), "region": REGIONS[n % 2]}
            for n in range(20) for model in ("old", "new") for rater, kind in (("judge-x", "judge"), ("anna", "human"))]
    base = {"stage": "canary", "criterion": "resolved", "rater": "desk", "rater_kind": "code"}
    for n in range(2000):
        new = n % 20 == 0
        rows.append({**base, "item_id": f"c{n:04d}", "user": f"u{n:04d}", "model": "new" if new else "old",
                     "time": f"2026-11-{20 + n % 5}", "value": int(rng.random() < 0.7),
                     "assigned_prob": 0.05 if new else 0.95, "region": REGIONS[n % 2]})
    return pd.DataFrame(rows)


def _quality(case: Case, name: str, shares: np.ndarray, *, moved: float = 0.0) -> xr.Dataset:
    """Draws of quality as `estimands.quality` gives them, made to order."""
    rng = np.random.default_rng(3)
    out = np.full((2, SAMPLES // 2, len(MODELS), 3), 0.7 if name != "liked" else 3.5)
    z = ndtri((np.arange(SAMPLES) + 0.5) / SAMPLES)
    # What all models share: without it the incumbent's draws would not vary.
    out += 0.02 * rng.permutation(z).reshape(2, -1, 1, 1)
    for number, model in enumerate(MODELS[1:], start=1):
        for place, delta in enumerate(case.deltas[name][model], start=1):
            drawn = rng.permutation(z).reshape(2, -1) * case.sd * (10 if name == "liked" else 1)
            out[:, :, number, place] += delta + moved * (model == "new") + drawn
            out[0, :, number, place] += case.apart
    out[..., 0] = out[..., 1:] @ shares
    values = (("chain", "draw", "model", "slice"), out)
    return xr.Dataset({"calibrated": values, "corrected": values},
                      coords={"model": list(MODELS), "slice": ["all", *REGIONS]})


def _fit(case: Case, draws: xr.Dataset) -> xr.DataTree:
    """Parameters that the flip points of priors look at, and no divergences.

    Where the case leans on the priors for a candidate, these find draws unlikely in which it is worse.
    """
    rng = np.random.default_rng(4)
    dims, size = ("chain", "draw"), (2, SAMPLES // 2)
    posterior = {name: (dims, rng.normal(size=size)) for name in ("centre", "item_share")}
    if case.leaning:
        of = draws["calibrated"].isel(slice=0)
        delta = (of.sel(model=case.leaning) - of.sel(model=MODELS[0])).to_numpy()
        posterior["centre"] = (dims, 1.5 * np.maximum(delta.mean() - delta, 0) / delta.std())
    posterior["level"] = ((*dims, "k"), rng.normal(size=(*size, 3)))
    posterior |= {name: (dims, rng.random(size)) for name in ("weight_scale", "trust_scale")}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"divergent_share": 0.001, "fast": 1}),
                                  "posterior": xr.Dataset(posterior),
                                  "sample_stats": xr.Dataset({"diverging": (dims, np.zeros(size, bool))})})


def _stages(run_dir: Path, plan: Path, case: Case, *, fast: bool) -> None:
    def start(stage: str):
        return open_run(run_dir, plan=plan, stage=stage, fast=fast)

    run = start(STAGES[0])
    spec, data = run.plan, run.data
    features = {one.id: build_features(data, spec, one.id) for one in spec.criteria}
    run.save("checks.parquet", check_table([check for one in features.values() for check in data_checks(one, spec)]))
    run.finish()
    run = start(STAGES[1])
    run.save("requirements.parquet", check_requirements(spec, data))
    crossed = {layer: pd.concat([cross_checks(one, spec, traffic=layer == "traffic", seed=1)
                                 for one in features.values()]) for layer in ("offline", "traffic")}
    run.finish()
    run = start(STAGES[2])
    shares = {"offline": np.array([0.5, 0.5]),
              "traffic": data.traffic.set_index("slice")["share"].reindex(REGIONS).to_numpy()}
    draws = {layer: {name: _quality(case, name, share) for name in features} for layer, share in shares.items()}
    for name in features:
        run.save(f"{name}.nc", _fit(case, draws["traffic"][name]))
    rows = {layer: pd.concat([crossed[layer], *(_rows(of_layer[name], features[name], spec, layer)
                                                for name in features)], ignore_index=True)
            for layer, of_layer in draws.items()}
    run.add_estimates(rows["offline"])
    errors = pd.concat([_errors(confusion(one), spec.criterion(name)) for name, one in features.items()],
                       ignore_index=True)
    run.save("metric_errors.parquet", errors)
    found = [sampling_check(_fit(case, draws["traffic"][name]), draws["traffic"][name], one, spec)
             for name, one in features.items()]
    found += [CheckResult("predictions match labels", True, "0 of 9 cells lie outside their interval.", name)
              for name in features]
    run.save("checks.parquet", check_table(found))
    run.finish()
    _fourth(start(STAGES[3]), spec, data, features, draws["traffic"], rows, case)


def _fourth(run, spec, data, features, draws, rows, case: Case) -> None:
    for name, one in draws.items():
        run.save(f"{name}.nc", one)
    run.add_estimates(pd.concat([rows["traffic"], outcome_contrasts(data, spec, seed=1)], ignore_index=True))
    seen = len(data.live) > 0
    shares = data.traffic.set_index("slice")["share"].reindex(REGIONS).to_numpy()
    live = _quality(case, "correct", shares, moved=case.shadow).sel(model=["old", "new"])
    judged = pd.DataFrame({"all": {"old": 20 * seen, "new": 20 * seen}})
    gaps = transport_gap(draws["correct"], live, features["correct"], spec, scale=spec.transport_scale, labels=judged)
    gaps = gaps if seen else gaps.iloc[:0]
    counts, rates = ramp_counts(data, spec), base_rates(data, spec)
    odds = simulate_ramps(spec, rates, seed=1, replicates=20)
    tables = {"gaps": gaps, "ramp_looks": ramp_look(counts, spec), "ramp_odds": odds,
              "rollback": rollback_conditions(spec, rates)}
    for name, table in tables.items():
        run.save(f"{name}.parquet", table)
    found = [correction_check(draws[name], one, spec) for name, one in features.items()]
    found += [agreement_check(run.estimates(), spec, name, layer="traffic") for name in features]
    found += [transport_check(gaps, spec, one) for one in spec.criteria if seen]
    found += [sample_ratio_check(data, spec)] if len(counts) else []
    found += [CheckResult("priors leave room for the labels", True, case.priors, "correct")] if case.priors else []
    run.save("checks.parquet", check_table(found))
    run.finish()


def _rows(draws: xr.Dataset, features: xr.Dataset, spec, layer: str) -> pd.DataFrame:
    one = spec.criterion(features.attrs["criterion"])
    return estimate_rows(draws, features, incumbent=spec.incumbent, layer=layer, interval=spec.sampling.interval,
                         margin=one.margin, slice_margin=one.slice_margin)


def _errors(counts: pd.DataFrame, criterion) -> pd.DataFrame:
    """Rates of verdicts as they were counted, with intervals made up around them; of scores a correlation made up."""
    rows = [] if len(counts) else [
        {"criterion": criterion.id, "model": model, "metric": metric, "rank_correlation": 0.6, "rc_lower": 0.5,
         "rc_upper": 0.7} for metric in criterion.metrics for model in MODELS]
    for row in counts.itertuples():
        rates = {"true_positive": row.yes_yes / (row.yes_yes + row.yes_no),
                 "false_positive": row.no_yes / max(row.no_yes + row.no_no, 1)}
        ends = {f"{short}_{end}": rates[name] + shift for name, short in (("true_positive", "tp"),
                ("false_positive", "fp")) for end, shift in (("lower", -0.05), ("upper", 0.05))}
        rows.append({"criterion": criterion.id, "model": row.model, "metric": row.metric, **rates, **ends})
    columns = ["criterion", "model", "metric", "true_positive", "tp_lower", "tp_upper", "false_positive", "fp_lower",
               "fp_upper", "rank_correlation", "rc_lower", "rc_upper"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _executed(stage: str, run_dir: Path, plan: Path, *, fast: bool) -> dict[str, str]:
    shown: list[str] = []
    names: dict[str, object] = {"display": lambda *outputs: shown.extend(map(_text, outputs))}
    for cell in nbformat.read(NOTEBOOKS / f"{stage}.ipynb", as_version=4).cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            shown.append(cell.source)
        elif "parameters" in tags:
            names |= {"run_dir": str(run_dir), "plan": str(plan), "fast": fast, "full": False}
        elif "interactive" not in tags:
            with redirect_stdout(StringIO()):
                exec(compile(cell.source, cell["id"], "exec"), names)
    return _by_section("\n".join(shown))


def _text(output: object) -> str:
    if hasattr(output, "as_raw_html"):
        return BeautifulSoup(output.as_raw_html(), "html.parser").get_text(" ", strip=True)
    if hasattr(output, "alt_text"):
        return f"{output.alt_text} {output.caption}"
    return str(output).replace("\\", "")


def _by_section(text: str) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    second = third = ""
    for line in text.split("\n"):
        if line.startswith("## "):
            second, third = (line[3:] if found else VERDICT), ""
        elif line.startswith("### "):
            third = line[4:] if second == VERDICT else third
        if second:
            found.setdefault(second, []).append(line)
        if third:
            found.setdefault(third, []).append(line)
    return {name: " ".join(" ".join(lines).split()) for name, lines in found.items()}
