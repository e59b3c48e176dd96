"""How many labelled items does the support assistant need? Writes benchmarks/results/support_power.csv.

Simulates `data/support` with other seeds and decides with a fast stand-in for the calibration model: per region, the
contrast is estimated by regression on the metrics (or from labels alone), then regions are pooled with a normal
hierarchical model. The rule is that of the kit: gates with their bound, slices, requirements.

Run: python benchmarks/support_power.py --draws 200     a stopped run goes on where it was
"""

import argparse
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import yaml
from common import ROOT, code_digest, run_replicates, write_result
from scipy.special import betaincc

from migration_kit.simulate import SUPPORT_MODELS, SUPPORT_REGIONS, simulate_support

SEED = 10_000
METHODS = {"labels and metrics": True, "labels only": False}
KEYS = ("method", "n_labels", "candidate")
LABELS = (100, 200, 300, 400, 600, 800, 1000)
# sd of regional contrasts: the grid of a half-normal prior with scale 0.1
BETWEEN_REGIONS = np.linspace(0.002, 0.3, 40)


def regional_contrasts(contrast, features, labelled, region):
    """Estimate candidate minus incumbent in every region; returns estimates and standard errors.

    A regression of the contrast on `features` (item, k), the metric values of both models, with a level of its own for
    every region, predicts every item; its mean residual in a region is 0, so nothing remains to be corrected.
    """
    regions = region.max() + 1
    design = np.column_stack([region[:, None] == np.arange(regions), features]).astype(float)
    known = design[labelled]
    predicted = design @ np.linalg.solve(known.T @ known + 1e-9 * np.eye(design.shape[1]), known.T @ contrast[labelled])
    residual = contrast[labelled] - predicted[labelled]
    spread = residual.std(ddof=design.shape[1])
    estimate, error = np.empty(regions), np.empty(regions)
    for s in range(regions):
        here, own = region == s, residual[region[labelled] == s]
        # a region's own spread is too small too often where failures are rare: take half of the common one
        variance = (own.var(ddof=1) + spread**2) / 2
        estimate[s], error[s] = (
            predicted[here].mean(),
            np.sqrt(variance / len(own) + predicted[here].var() / here.sum()),
        )
    return estimate, error


def pooled_draws(estimate, error, rng, draws=1000):
    """Draw the joint posterior of regional contrasts around a common mean; dims (draw, region)."""
    variance = BETWEEN_REGIONS[:, None] ** 2 + error**2
    centre = (estimate / variance).sum(axis=1) / (1 / variance).sum(axis=1)
    fit = -0.5 * (np.log(variance) + (estimate - centre[:, None]) ** 2 / variance).sum(axis=1)
    log_weight = fit - 0.5 * np.log((1 / variance).sum(axis=1)) - 0.5 * (BETWEEN_REGIONS / 0.1) ** 2
    weight = np.exp(log_weight - log_weight.max())
    pick = rng.choice(len(BETWEEN_REGIONS), size=draws, p=weight / weight.sum())
    mean = centre[pick] + rng.standard_normal(draws) / np.sqrt((1 / variance[pick]).sum(axis=1))
    shrink = error**2 / variance[pick]
    conditional = shrink * mean[:, None] + (1 - shrink) * estimate
    return conditional + np.sqrt((1 - shrink) * error**2) * rng.standard_normal(conditional.shape)


def decide(gates, slices, assurance, slice_assurance, required):
    """Apply the rule. `gates`: (P(contrast > -margin), P(contrast < -margin)); `slices`: the same for every slice."""
    gates, slices = np.array(gates), np.array(slices)
    if not required or (gates[:, 1] >= assurance).any() or (slices[:, 1] >= assurance).any():
        return "keep"
    holds = 1 - (1 - gates[:, 0]).sum() >= assurance and (slices[:, 0] >= slice_assurance).all()
    return "switch" if holds else "collect"


def decide_draw(number, *, plan):
    """Return the verdicts on one simulated migration: a row for every method, number of labels and candidate."""
    drawn, rng = simulate_support(SEED + number), np.random.default_rng(SEED + number)
    shape = (len(SUPPORT_MODELS), len(drawn.items))
    names = [gate["id"] for gate in plan["gates"]]
    metrics = drawn.scores[drawn.scores["criterion"].isin([*names, "format_ok"])]
    metrics = metrics[metrics["rater_kind"] != "human"]
    metrics = {name: rows["value"].to_numpy().reshape(shape) for name, rows in metrics.groupby("rater")}
    people = drawn.held_out[drawn.held_out["criterion"].isin(names)]
    people = {name: rows["value"].to_numpy().reshape(shape) for name, rows in people.groupby("criterion")}
    region = SUPPORT_REGIONS.index.get_indexer(drawn.items["region"])
    order, decision, rows = rng.permutation(shape[1]), plan["decision"], []
    for (method, uses), n_labels, m in product(METHODS.items(), LABELS, range(1, shape[0])):
        labelled = np.isin(np.arange(shape[1]), order[:n_labels])
        gates, slices, spread = [], [], {}
        for gate in plan["gates"]:
            sign = 1 if gate["better"] == "higher" else -1
            used = [metrics[name][i] for name in gate["metrics"] for i in (0, m) if uses]
            features = np.column_stack(used) if used else np.empty((shape[1], 0))
            contrast = sign * (people[gate["id"]][m] - people[gate["id"]][0])
            draws = pooled_draws(*regional_contrasts(contrast, features, labelled, region), rng)
            total = draws @ SUPPORT_REGIONS["traffic"].to_numpy()
            gates.append([(total > -gate["margin"]).mean(), (total < -gate["margin"]).mean()])
            slices += [[(d > -gate["slice_margin"]).mean(), (d < -gate["slice_margin"]).mean()] for d in draws.T]
            spread[gate["id"]] = total.std()
        valid = metrics["xml_validator"][m].sum()
        required = betaincc(valid + 0.5, shape[1] - valid + 0.5, 0.99) >= 0.95
        verdict = decide(gates, slices, decision["assurance"], decision["slice_assurance"], required)
        rows.append((method, n_labels, SUPPORT_MODELS.index[m], verdict, spread["correct"]))
    return pd.DataFrame(rows, columns=[*KEYS, "verdict", "sd_correct"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    plan = yaml.safe_load((ROOT / "data/support/migration.yml").read_text("utf-8"))
    plan["gates"] = [criterion for criterion in plan["criteria"] if criterion["role"] == "gate"]
    code = code_digest(modules=("simulate/support", "simulate/support_design"))
    runs = run_replicates(f"support_power-{code}", partial(decide_draw, plan=plan), given.draws, workers=given.workers)
    shares = pd.get_dummies(runs["verdict"])[["switch", "keep", "collect"]]
    table = pd.concat([runs[[*KEYS, "sd_correct"]], shares], axis=1).groupby(list(KEYS), as_index=False).mean()
    table = table[[*KEYS, "switch", "keep", "collect", "sd_correct"]].assign(draws=given.draws)
    write_result(table, "support_power", seed=SEED, code=code)


if __name__ == "__main__":
    main()
