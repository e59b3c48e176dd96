"""The contrasts that the verdict rests on: of the test set, joined with live requests where people judged some."""

import pandas as pd

from migration_kit.estimands import TOTAL

ENDS = ("mean", "lower", "upper")
JOINT = ["overall", "overall_lower", "overall_upper", "prob_noninferior"]


def decided(estimates: pd.DataFrame, decision: dict, gaps: pd.DataFrame) -> pd.DataFrame:
    """Put into calibrated contrasts what test set and live requests say together.

    Parameters
    ----------
    estimates : DataFrame
        Rows of layer ``traffic``, columns `ESTIMATE_COLUMNS`.
    decision : dict
        As `decision.json` holds it.
    gaps : DataFrame
        From `transport.shadow_gaps`.

    Returns
    -------
    DataFrame
        The same rows. Calibrated contrasts that have a judged shadow are those of `gaps` over all traffic, joined where
        the shadow is and of the test set alone elsewhere; totals of labelled gates, and the probabilities of their
        slices, are those of the decision, so that figures and verdict tell the same numbers. Everything else, qualities
        too, is of the test set alone.
    """
    found = estimates.copy()
    mine = (found["method"] == "calibrated") & (found["quantity"] == "contrast")
    joint = gaps[gaps["shadow"].notna()].set_index(["criterion", "model", "slice"])
    for place, row in found[mine].iterrows():
        key = (row["criterion"], row["model"], row["slice"])
        gate = decision["candidates"][row["model"]]["gates"].get(row["criterion"])
        if key in joint.index:
            found.loc[place, [*ENDS, "prob_noninferior"]] = joint.loc[key, JOINT].to_numpy(dtype=float)
        if gate and gate["labelled"] and row["slice"] == TOTAL:
            found.loc[place, [*ENDS, "prob_noninferior"]] = [*(gate[end] for end in ENDS), gate["probability"]]
        elif gate and gate["labelled"] and row["slice"] in gate["slices"]:
            found.loc[place, "prob_noninferior"] = gate["slices"][row["slice"]]
    return found
