"""Where verdicts turn, against closed forms and against the verdict itself on the other side."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers import small_plan
from scipy.special import ndtri
from scipy.stats import halfnorm, logistic, norm

from migration_kit.flip_points import COLUMNS, flip_points, weight_flips
from migration_kit.gates import GateDraws, Standing, judge_gate, verdict_of
from migration_kit.power_scaling import log_likelihood, log_prior, power_weights

N = 4000
STANDING = Standing()
Z = ndtri((np.arange(N) + 0.5) / N)


def gate(plan, total, *slices, sd=0.01, names=("north", "south"), slice_sd=None):
    """Draws of a gate without Monte Carlo error; slices move with the total."""
    columns = [one + (slice_sd or sd) * Z for one in slices] or [total + sd * Z]
    return GateDraws(plan.criteria[0], [total + sd * Z], np.stack(columns, axis=1),
                     list(names[: len(slices)]) or ["all items"])


def found(plan, drawn, *, what, standing=STANDING, shares=(0.5, 0.5), fits=None):
    table = flip_points(plan, {"correct": drawn}, "new", shares=pd.Series(shares, index=drawn.names[: len(shares)]),
                        standing=standing, fits=fits)
    assert list(table.columns) == list(COLUMNS)
    return table[table["what"] == what].reset_index(drop=True)


@pytest.mark.parametrize(
    ("delta", "expected"),
    # Assurance 0.95, sd 0.01: the gate holds from 0.01645 − Δ on and is lost below −0.01645 − Δ.
    [(0.0, [(0.0164, "collect")]), (-0.03, [(0.0464, "switch"), (0.0136, "keep")]), (-0.1, [(0.0836, "collect")])],
)
def test_margins_turn_where_the_quantiles_lie(delta, expected):
    table = found(small_plan(), gate(small_plan(), delta), what="margin", shares=(1.0,))
    assert [(pytest.approx(at, abs=2e-4), verdict) for at, verdict in zip(table["at"], table["verdict"], strict=True)
            ] == expected
    assert (table["now"] == 0.03).all() and table["sentence"].str.contains("3 points").all()


def test_a_margin_names_the_verdict_found_on_the_other_side():
    plan = small_plan()
    drawn = gate(plan, -0.03)
    # Few draws lie far apart, and a verdict turns at one of them, not between two.
    drawn = drawn._replace(totals=[drawn.totals[0][::40]])

    def verdict(margin: float) -> str:
        spec = drawn.spec.model_copy(update={"margin": float(margin)})
        result = judge_gate(drawn._replace(spec=spec), spec, plan=plan)
        return str(verdict_of([result.probability], [result.probability_worse], [], assurance=0.95,
                              slice_assurance=0.8))

    table = found(plan, drawn, what="margin", shares=(1.0,))
    assert len(table) == 2
    for row in table.itertuples():
        assert verdict(row.at) == row.verdict != verdict(np.nextafter(row.at, row.now)) == verdict(row.now)
    smallest = judge_gate(drawn, drawn.spec, plan=plan).smallest_margin
    assert verdict(np.nextafter(smallest, 1)) == "switch" != verdict(smallest)


def test_gates_that_no_margin_turns_are_told_together():
    plan = small_plan()
    raised = plan.model_dump(by_alias=True)
    raised["criteria"] = [{**raised["criteria"][0], "id": name} for name in ("correct", "style", "tone")]
    plan = type(plan).model_validate(raised)
    gates = {spec.id: gate(plan, delta)._replace(spec=spec)
             for spec, delta in zip(plan.criteria, (0.05, 0.05, -0.1), strict=True)}
    table = flip_points(plan, gates, "new", shares=pd.Series([1.0]), standing=STANDING)
    assert table["criterion"].tolist() == ["tone", ""] and table["verdict"][0] == "collect"
    assert table["sentence"][1] == "No other margin on correct or style alone changes the verdict on new."


def test_a_gate_needs_more_where_others_take_of_the_assurance():
    plan = small_plan()
    raised = plan.model_dump(by_alias=True)
    raised["criteria"] = [{**raised["criteria"][0], "id": name} for name in ("correct", "style")]
    plan = type(plan).model_validate(raised)
    # Each holds with 96.1%, both together with 92.2% at least: either must reach 98.9%.
    gates = {spec.id: gate(plan, -0.0124)._replace(spec=spec) for spec in plan.criteria}
    table = flip_points(plan, gates, "new", shares=pd.Series([1.0]), standing=STANDING)
    up = table[table["at"] > table["now"]]
    assert up["verdict"].tolist() == ["switch"] * 2
    assert up["at"].to_numpy() == pytest.approx(0.0124 - 0.01 * ndtri(0.0108), abs=5e-4)


def test_traffic_turns_where_the_mix_of_slices_reaches_the_margin():
    plan = small_plan(slices=True)
    # All draws move together, so the gate is lost where its quantile is: (1 − t)·0.05 − t·0.05 − 0.01645 = −0.03.
    drawn = gate(plan, 0.05, 0.15, -0.05)
    table = found(plan, drawn, what="traffic")
    t = (0.05 + 0.03 - 0.01645) / 0.10
    assert len(table) == 1 and table["where"][0] == "south" and table["verdict"][0] == "collect"
    assert table["at"][0] == pytest.approx(0.5 + t * 0.5, abs=1e-3)
    assert table["now"][0] == 0.5 and "of traffic were south instead of 50%" in table["sentence"][0]


def test_the_mix_that_a_verdict_turns_at_is_the_first_one_that_does():
    rng = np.random.default_rng(0)
    plan = small_plan(slices=True)
    slices = rng.normal([0.02, -0.08], [0.02, 0.05], (N, 2))
    total = slices @ [0.9, 0.1]
    drawn = GateDraws(plan.criteria[0], [total], slices, ["north", "south"])
    row = found(plan, drawn, what="traffic", shares=(0.9, 0.1)).iloc[0]
    t = (row["at"] - 0.1) / 0.9

    def held(t):
        return ((1 - t) * total + t * slices[:, 1] > -0.03).mean()

    assert held(t - 0.001) >= 0.95 > held(t) and row["where"] == "south"


def test_no_mix_turns_a_verdict_that_every_slice_shares():
    plan = small_plan(slices=True)
    table = found(plan, gate(plan, 0.05, 0.05, 0.05), what="traffic")
    assert table["at"].isna().all() and "No shift of traffic" in table["sentence"][0]
    assert found(small_plan(), gate(small_plan(), 0.05), what="traffic", shares=(1.0,)).empty


def test_a_slice_that_holds_back_names_its_margin():
    plan = small_plan(slices=True, slice_margin=0.06)
    row = found(plan, gate(plan, 0.05, 0.1, -0.07), what="slice margin").iloc[0]
    # Slice assurance 0.80: P(Δ > −m) ≥ 0.8 from m = 0.07 + 0.0084 on.
    assert (row["where"], row["verdict"]) == ("south", "switch") and row["at"] == pytest.approx(0.0784, abs=3e-4)


def test_what_stands_fast_says_so():
    plan = small_plan()
    for standing, what, verdict in ((Standing(failed=True), "requirement", "keep"),
                                    (Standing(blocked=True), "check", "collect")):
        table = found(plan, gate(plan, 0.05), what=what, standing=standing, shares=(1.0,))
        assert len(table) == 1 and np.isnan(table["at"][0]) and verdict in table["sentence"][0]
    unlabelled = flip_points(plan, {}, "new", shares=pd.Series([1.0]), standing=Standing())
    assert "no labels" in unlabelled["sentence"][0]
    # An open requirement leaves no way to switch, but ways to keep.
    table = found(plan, gate(plan, -0.03), what="margin", standing=Standing(unsettled=True), shares=(1.0,))
    assert table["verdict"].tolist() == ["keep"]


def fit_of(centre, **more):
    """A fit whose draws are as given, dims (sample,) or (sample, model); what is not given does not vary."""
    n = len(centre)
    posterior = {"centre": centre, "level": np.stack([centre, centre], axis=1), "weight_scale": np.full(n, 0.5),
                 "trust_scale": np.full(n, 0.5), "item_share": np.zeros(n)} | more
    dims = {1: ("chain", "draw"), 2: ("chain", "draw", "k")}
    return xr.DataTree.from_dict({"posterior": xr.Dataset(
        {name: (dims[value.ndim] if value.ndim == 1 else ("chain", "draw", f"{name}_k"),
                value.reshape(2, n // 2, *value.shape[1:])) for name, value in posterior.items()})})


def test_log_prior_equals_scipys():
    rng = np.random.default_rng(0)
    n = 20
    drawn = {"level": rng.normal(size=(n, 3)), "weight_scale": rng.random(n), "trust_scale": rng.random(n),
             "item_share": rng.normal(size=n), "slice_scale": rng.random(n), "side_effect": rng.normal(size=n),
             "spread": rng.random((n, 2)) + 0.5, "cuts": np.sort(rng.normal(size=(n, 4)), axis=1),
             "weight": rng.normal(size=(n, 5))}
    centre = rng.normal(size=n)
    expected = norm(0, 1.5).logpdf(centre) + norm(centre[:, None], 1.5).logpdf(drawn["level"]).sum(axis=1)
    expected += halfnorm(scale=1.0).logpdf(drawn["weight_scale"]) + halfnorm(scale=0.5).logpdf(drawn["trust_scale"])
    expected += logistic.logpdf(drawn["item_share"]) + halfnorm(scale=0.5).logpdf(drawn["slice_scale"])
    expected += norm(0, 0.5).logpdf(drawn["side_effect"]) + norm(0, 0.25).logpdf(np.log(drawn["spread"])).sum(axis=1)
    gaps = np.log(np.diff(drawn["cuts"], axis=1))
    expected += norm(np.log(2.4 / 4), 0.8).logpdf(gaps).sum(axis=1)
    mine = log_prior(fit_of(centre, **drawn)).to_numpy().ravel()
    assert np.allclose(mine - mine[0], expected - expected[0], atol=1e-5)


def test_power_weights_give_the_moments_of_the_scaled_density():
    # Draws of N(0, 1) whose prior is N(0, 1): raised to the power a, the draws become N(0, 1/a) times the rest.
    x = np.random.default_rng(0).permutation(Z)
    for power in (0.8, 1.5):
        weights, reliable = power_weights(-0.5 * x**2, power)
        assert reliable and weights.sum() == pytest.approx(1)
        assert (weights @ x**2) == pytest.approx(1 / power, rel=0.05)
    assert not power_weights(-0.5 * x**2, 0.02)[1]
    assert np.ptp(power_weights(np.zeros(N), 2.0)[0]) == 0


def test_priors_turn_a_verdict_that_leans_on_them():
    rng = np.random.default_rng(0)
    centre = rng.normal(0, 1.5, N)
    plan = small_plan()
    # The contrast is what the prior of the level lets it be: only a much narrower one rules out the loss.
    drawn = GateDraws(plan.criteria[0], [0.0214 * centre], 0.0214 * centre[:, None], ["all items"])
    row = found(plan, drawn, what="prior", fits={"correct": fit_of(centre)}, shares=(1.0,)).iloc[0]
    # sd 0.0321 must fall to 0.03 / 1.645 = 0.01824, the prior's scale to 0.568 of what it is.
    assert (row["where"], row["verdict"]) == ("narrower", "switch")
    assert 0.45 < row["at"] < 0.60 and row["now"] == 1
    still = GateDraws(plan.criteria[0], [0.1 + 0.001 * Z], 0.1 + 0.001 * Z[:, None], ["all items"])
    for narrow in (fit_of(np.zeros(N)), fit_of(1e-4 * Z)):
        row = found(plan, still, what="prior", fits={"correct": narrow}, shares=(1.0,)).iloc[0]
        assert row["sentence"].startswith("Priors on correct up to 2.8 times as wide or as narrow do not change")
    row = found(plan, still, what="prior", fits={"correct": fit_of(centre)}, shares=(1.0,)).iloc[0]
    assert np.isnan(row["at"]) and "do not change" in row["sentence"] and "cannot tell" in row["sentence"]


def test_weights_turn_where_utilities_cross():
    gates = [{"id": name, "role": "gate", "metrics": ["judge"], "margin": 0.03, "weight": 1.0}
             for name in ("correct", "style")]
    raised = small_plan(models=("old", "new", "other")).model_dump(by_alias=True) | {"criteria": gates}
    plan = type(small_plan()).model_validate(raised)
    expected = {"correct": {"new": 0.05, "other": 0.02}, "style": {"new": 0.01, "other": 0.02}}
    table = weight_flips(plan, expected, ["new", "other"]).set_index("criterion")
    # new leads by 0.03 on one and lags by 0.01 on the other.
    assert table.loc["correct", "at"] == pytest.approx(1 / 3) and table.loc["style", "at"] == pytest.approx(3)
    assert set(table.reset_index()["candidate"]) == {"other"} and "below 0.33" in table.loc["correct", "sentence"]
    assert weight_flips(plan, expected, ["new"]).empty


@pytest.mark.parametrize(("kind", "values", "cuts"), [
    ("levels", [0, 2, 1], [[-0.3, 0.4], [-0.1, 0.9]]), ("continuous", [1.2, 3.0, 2.2], None)])
def test_log_likelihood_equals_scipys(kind, values, cuts):
    level = np.array([[0.2, -0.1], [0.5, 0.3]])
    drawn = {"level": level, "weight": np.full((2, 1), 0.7), "trust": np.ones((2, 2)),
             "slice_effect": np.zeros((2, 1)), "item_scale": np.ones((2, 2))}
    drawn |= {"cuts": np.array(cuts)} if cuts else {"residual": np.full((2, 2), 0.8)}
    posterior = xr.Dataset({name: (("chain", "draw", f"{name}_k"), value[None]) for name, value in drawn.items()})
    posterior["model_slice_effect"] = (("chain", "draw", "s", "m"), np.zeros((1, 2, 1, 2)))
    item, model = np.array([0, 0, 1]), np.array([0, 1, 1])
    x = np.array([0.5, -0.5, 1.0])
    features = xr.Dataset({
        "x": (("item", "model", "component"), np.array([[0.5, -0.5], [0.0, 1.0]])[:, :, None]),
        "pool": (("item", "model", "peer"), np.broadcast_to(np.eye(2), (2, 2, 2)).copy()),
        "slice_index": ("item", np.zeros(2, int)), "stratum": (("item", "model"), np.zeros((2, 2), int)),
        "judged_item": ("judgment", item), "judged_model": ("judgment", model),
        "judged_level": ("judgment", np.array(values) if cuts else np.full(3, -1)),
        "judged_value": ("judgment", np.array(values, float))}, attrs={"centre": 2.0, "spread": 0.5})
    mean = level[:, model] + 0.7 * x
    if cuts:
        ends = np.pad(np.array(cuts), ((0, 0), (1, 1)), constant_values=((0, 0), (-np.inf, np.inf)))
        expected = np.log(norm.cdf(ends[:, np.array(values) + 1] - mean) - norm.cdf(ends[:, values] - mean))
    else:
        expected = norm(mean, np.sqrt(0.8**2 + 1)).logpdf((np.array(values) - 2.0) / 0.5)
    found = log_likelihood(xr.DataTree.from_dict({"posterior": posterior}), features).to_numpy().ravel()
    assert np.diff(found) == pytest.approx(np.diff(expected.sum(axis=1)), rel=1e-6)
