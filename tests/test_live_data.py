"""Live requests at the door: what is kept, what is told, and the shadow as a migration of its own."""

import numpy as np
import pandas as pd
import pytest
from conftest import PLAN

from migration_kit.data import data_digest, load_data, read_data, save_data
from migration_kit.errors import InputError
from migration_kit.features import build_features
from migration_kit.plan import LIVE_STAGES, load_plan
from migration_kit.shadow import shadow_data
from migration_kit.summary import summary

OUTCOMES = """
live_outcomes:
  - {id: thumbs_up, scale: binary, role: gate, margin: 0.02}
  - {id: seconds, scale: continuous, better: lower, role: gate, margin: 0.5, range: [0, 30]}
"""
COLUMNS = "item_id,model,stage,time,criterion,rater,rater_kind,value,user,assigned_prob,region"


def shadow_rows(n=6, models=("old", "new")):
    """Shadow requests s1, s2, ... with both metrics, the first three judged by people."""
    rows = []
    for k in range(1, n + 1):
        for m, model in enumerate(models):
            front = f"s{k},{model},shadow,2026-11-{k:02d}T08:00:00Z,correct"
            end = f"u{k},,{'amer' if k % 2 else 'emea'}"
            rows += [f"{front},judge-x,judge,{(k + m) % 2},{end}", f"{front},exact_match,code,{k % 2},{end}"]
            rows += [f"{front},anna,human,{int(k > m)},{end}"] * (k < 4)
    return rows


def canary_rows(n=8):
    """Users c1, c2, ..., every fourth with the candidate; all have a latency, the first half a thumb."""
    rows = []
    for k in range(1, n + 1):
        model, prob = ("new", 0.25) if k % 4 == 0 else ("old", 0.75)
        front, end = f"r{k},{model},canary,2026-11-20", f"c{k},{prob},{'amer' if k % 2 else 'emea'}"
        rows.append(f"{front},seconds,gateway,code,{k / 2},{end}")
        rows += [f"{front},thumbs_up,user,human,{k % 2},{end}"] * (k <= n // 2)
    return rows


def anchor_rows(n=4):
    return [f"q{k:02d},{model},anchor,2026-12-01,correct,judge-x,judge,1,,," for k in range(1, n + 1)
            for model in ("old", "new", "small")]


@pytest.fixture
def live(tiny_plan):
    """Write live rows beside the tiny plan, with one piece of their text replaced, and read all of it."""

    def write(rows=None, *, old=None, new=None, columns=COLUMNS, plan=("", ""), scores=()):
        rows = [*shadow_rows(), *canary_rows(), *anchor_rows()] if rows is None else rows
        text = "\n".join([columns, *rows]) + "\n"
        assert old is None or old in text
        (tiny_plan.parent / "live.csv").write_text(text.replace(old, new, 1) if old is not None else text)
        if scores:
            head = "item_id,model,criterion,rater,rater_kind,value" + ",opponent,side" * (scores[0].count(",") > 5)
            (tiny_plan.parent / "more.csv").write_text("\n".join([head, *scores]) + "\n")
        tables = "[{path: scores.csv}, {path: more.csv}]" if scores else "[{path: scores.csv}]"
        text = PLAN.replace("scores: [{path: scores.csv}]", f"scores: {tables}\n  live: [{{path: live.csv}}]")
        assert plan[0] in text + OUTCOMES
        tiny_plan.write_text((text + OUTCOMES).replace(*plan, 1))
        plan = load_plan(tiny_plan)
        return load_data(plan), plan

    return write


def refused(live, **change):
    with pytest.raises(InputError) as caught:
        live(**change)
    return str(caught.value)


def left_out(data):
    rows = data.exclusions[data.exclusions["table"] == "live"]
    return {(row.model, row.reason): row.n for row in rows.itertuples()}


def test_what_is_kept_of_each_stage(live):
    data, plan = live()
    frame = data.live
    assert frame["stage"].value_counts().to_dict() == {"shadow": 30, "canary": 12, "anchor": 12}
    assert str(frame["time"].dtype) == "datetime64[ns, UTC]"
    assert frame["time"].min() == pd.Timestamp("2026-11-01T08:00Z")
    assert set(frame.loc[frame["stage"] == "canary", "criterion"]) == {"thumbs_up", "seconds"}
    shadow = frame[frame["stage"] == "shadow"]
    assert set(shadow["slice"]) == {"amer", "emea"} and set(shadow["model"]) == {"old", "new"}
    # Anchor rows name neither user nor region: the request stands for the user, the item for the region.
    anchor = frame[frame["stage"] == "anchor"].merge(data.items, on="item_id", suffixes=("", "_item"))
    assert len(anchor) == 12 and (anchor["slice"] == anchor["slice_item"]).all()
    assert (anchor["user"] == anchor["item_id"]).all()
    assert frame.loc[frame["stage"] == "canary", "assigned_prob"].isin([0.25, 0.75]).all()
    assert not left_out(data) and set(frame["stage"]) == set(LIVE_STAGES)
    assert [outcome.id for outcome in plan.live_gates] == ["thumbs_up", "seconds"]


def test_a_plan_without_live_tables_has_no_live_rows(tiny_plan):
    plan = load_plan(tiny_plan)
    data = load_data(plan)
    assert data.live.empty and str(data.live["time"].dtype) == "datetime64[ns, UTC]"
    assert {"user", "assigned_prob", "slice"} <= set(data.live) and shadow_data(data, plan) is None


def test_saved_and_read_back_and_part_of_the_digest(live, tmp_path):
    data, plan = live()
    save_data(data, tmp_path / "run")
    assert (tmp_path / "run" / "live.parquet").is_file()
    pd.testing.assert_frame_equal(read_data(tmp_path / "run").live, data.live)
    before = data_digest(plan)
    data, plan = live(old="judge-x,judge,0", new="judge-x,judge,1")
    assert data_digest(plan) != before


def test_times_with_and_without_zone_and_from_parquet(live, tiny_plan):
    rows = [*shadow_rows(1), *[row.replace("T08:00:00Z", "") for row in shadow_rows(2)[6:]]]
    rows = [row.replace("2026-11-01T08:00:00Z", "2026-11-01 08:00:00.250+02:00") for row in rows]
    data, _ = live(rows)
    assert set(data.live["time"]) == {pd.Timestamp("2026-11-01T06:00:00.250Z"), pd.Timestamp("2026-11-02T00:00Z")}
    frame = pd.read_csv(tiny_plan.parent / "live.csv")
    frame["time"] = pd.to_datetime(frame["time"], format="ISO8601", utc=True)
    frame.to_parquet(tiny_plan.parent / "live.parquet")
    tiny_plan.write_text(tiny_plan.read_text().replace("live.csv", "live.parquet"))
    pd.testing.assert_frame_equal(load_data(load_plan(tiny_plan)).live, data.live)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("s2,old,shadow", "s2,old,shadw", ["live.csv: column 'stage', row 8: found 'shadw', expected one of 'shadow'",
                                           "did you mean 'shadow'?"]),
        ("s2,old,shadow", "s2,old,", ["live.csv: column 'stage', row 8: is empty, expected one of 'shadow'"]),
        ("2026-11-02T08:00:00Z", "02/11/2026", ["column 'time', row 8: found '02/11/2026', expected a date or a moment",
                                                "2026-11-03T14:05:00Z"]),
        ("2026-11-02T08:00:00Z", "1730448000", ["column 'time', row 8: found '1730448000', expected a date"]),
        ("2026-11-02T08:00:00Z", "2026-13-02", ["column 'time', row 8: found '2026-13-02', expected a date"]),
        ("2026-11-02T08:00:00Z", "9999-11-02", ["column 'time', row 8: found '9999-11-02', expected a date"]),
        ("2026-11-02T08:00:00Z", "", ["column 'time', row 8: is empty, expected a date"]),
        ("u2,,emea", "u2,,", ["column 'region', row 8: the request has no slice (item_id 's2')"]),
        ("u2,,emea", "u2,,apac", ["row 8: slice 'apac' is in no item of the test set"]),
        ("u2,,emea", "u2,,amer", ["request 's2' has several slices ('amer', 'emea')"]),
        ("s1,old,shadow,2026-11-01T08:00:00Z,correct,anna,human,1",
         "s1,old,shadow,2026-11-01T08:00:00Z,correct,anna,human,3",
         ["row 4: found 3 for criterion 'correct', expected 0 or 1"]),
        ("thumbs_up,user,human,1", "thumbs_up,user,human,5",
         ["found 5 for live outcome 'thumbs_up', expected 0 or 1 (scale binary)"]),
        ("seconds,gateway,code,0.5", "seconds,gateway,code,fast",
         ["criterion 'seconds'", "found 'fast', expected a finite number"]),
        ("c1,0.75", "c1,1.75", ["column 'assigned_prob'", "found 1.75, expected the probability"]),
        ("c1,0.75", "c1,", ["column 'assigned_prob'", "is empty while other canary rows have one"]),
        ("c1,0.75", "c1,most", ["column 'assigned_prob'", "found 'most', expected a finite number"]),
        ("s2,old,shadow,2026-11-02T08:00:00Z,correct,exact_match", "s2,old,shadow,2026-11-02T08:00:00Z,correct,judge-x",
         ["criterion 'correct', rater 'judge-x', repeat '0' stands more than once"]),
    ],
)
def test_a_wrong_cell_is_told_with_its_place(live, old, new, words):
    message = refused(live, old=old, new=new)
    for word in words:
        assert word in message, message
    assert all(line.startswith(("live.csv: ", "migration.yml: ")) for line in message.splitlines())


def test_columns_that_are_missing_or_misspelt(live):
    assert "column 'tiem' is not known; did you mean 'time'?" in refused(live, columns=COLUMNS.replace("time", "tiem"))
    rows = [row.rsplit(",", 1)[0] for row in shadow_rows()]
    message = refused(live, rows=rows, columns=COLUMNS.removesuffix(",region"))
    assert "column 'region', rows 2" in message and "the request has no slice" in message


def test_a_name_near_to_one_of_the_plan_that_the_stage_lacks(live):
    rows = [row.replace(",old,", ",olds,") for row in shadow_rows()]
    assert "model 'olds' of stage 'shadow' is not in the plan; did you mean 'old'?" in refused(live, rows=rows)
    rows = [row.replace("thumbs_up", "thumb_up") for row in canary_rows()]
    assert "outcome 'thumb_up' of stage 'canary' is not in the plan; did you mean 'thumbs_up'?" in refused(
        live, rows=rows)


def test_what_a_stage_cannot_do_without(live):
    old = [row for row in shadow_rows() if ",old," in row]
    new = [row.replace("s", "x", 1) for row in shadow_rows() if ",new," in row]
    assert "stage 'shadow': no request was answered by both the incumbent 'old' and a candidate" in refused(
        live, rows=[*old, *new])
    rows = [row for row in canary_rows() if ",old," in row]
    assert "stage 'canary': expected users of the incumbent 'old' and of a candidate, found 'old'" in refused(
        live, rows=rows)
    rows = [f"p{k}" + row[3:] for k, row in enumerate(anchor_rows())]
    assert "stage 'anchor': none of its item_ids ('p0', 'p1', 'p2' and 9 more) is in the items" in refused(
        live, rows=rows)
    message = refused(live, rows=canary_rows(), plan=(OUTCOMES, ""))
    assert "stage 'canary': no row is of the plan's models and live_outcomes (none)" in message
    rows = [row for row in shadow_rows() if ",new," not in row or ",human," in row]
    assert "stage 'shadow': model 'new' has no row of any metric of criterion 'correct'" in refused(live, rows=rows)


def test_what_is_left_out_is_counted(live):
    rows = [
        *shadow_rows(), *canary_rows(), *anchor_rows(),
        "s9,old,shadow,2026-11-09,correct,judge-x,judge,1,u9,,amer",
        "s1,gpt,shadow,2026-11-01,correct,judge-x,judge,1,u1,,amer",
        "s1,old,shadow,2026-11-01,toxicity,judge-x,judge,1,u1,,amer",
        "s1,old,shadow,2026-11-01,correct,bleu,code,1,u1,,amer",
        "s1,new,shadow,2026-11-01,correct,bert,human,,u1,,amer",
        "r1,old,canary,2026-11-20,refund,ledger,code,1,c1,0.75,amer",
        "r9,new,canary,2026-11-21,seconds,gateway,code,2,c1,0.25,amer",
        "q01,old,anchor,2026-12-01,correct,anna,human,1,,,",
        "q99,old,anchor,2026-12-01,correct,judge-x,judge,1,,,",
    ]
    data, _ = live(rows)
    assert left_out(data) == {
        ("old", "shadow request without an answer of the incumbent and of a candidate"): 1,
        ("gpt", "model not in the plan"): 1,
        ("old", "criterion not in the plan"): 1,
        ("old", "metric not in the plan"): 1,
        ("new", "empty value"): 1,
        ("old", "outcome not in the plan"): 1,
        ("new", "user who met several models"): 1,
        ("old", "human judgments of anchor items"): 1,
        ("old", "anchor item not in items"): 1,
    }
    assert any("1 user of the canary met several models" in text for text in data.notes["text"])
    assert set(data.live.loc[data.live["user"] == "c1", "model"]) == {"old"}


def test_what_a_user_did_before_another_model_came_counts_and_nothing_where_that_is_not_told(live):
    rows = [*canary_rows(), "r9,new,canary,2026-11-21,seconds,gateway,code,2,c1,0.25,amer",
            "r10,old,canary,2026-11-22,seconds,gateway,code,2,c1,0.75,amer",
            "r11,new,canary,2026-11-20,seconds,gateway,code,2,c2,0.25,emea"]
    data, _ = live(rows)
    users = data.live.groupby("user")["item_id"].apply(set)
    assert users["c1"] == {"r1"} and "c2" not in users
    assert left_out(data) == {("new", "user who met several models"): 2, ("old", "user who met several models"): 3}


def test_values_beyond_the_range_count_as_its_end_and_are_told(live):
    data, _ = live(old="seconds,gateway,code,0.5", new="seconds,gateway,code,90")
    assert data.live.loc[data.live["criterion"] == "seconds", "value"].max() == 30
    note = data.notes["text"].item()
    assert "live.csv row 32: 1 value of live outcome 'seconds' lies outside its range [0, 30] (90 to 90)" in note
    data, _ = live()
    assert data.notes.empty and data.live.loc[data.live["criterion"] == "seconds", "value"].max() == 4


def test_one_row_a_request_as_logs_are_and_nothing_but_a_canary(live):
    rows = [f"r{k},{'new' if k % 2 else 'old'},canary,2026-11-20,{k},{'' if k > 2 else 1},0.5,amer"
            for k in range(1, 5)]
    values = ("{seconds: {criterion: seconds, rater: gateway, rater_kind: code}, "
              "thumb: {criterion: thumbs_up, rater: user, rater_kind: human}}")
    data, _ = live(rows, columns="item_id,model,stage,time,seconds,thumb,assigned_prob,region",
                   plan=("{path: live.csv}", f"{{path: live.csv, values: {values}}}"))
    assert data.live["criterion"].value_counts().to_dict() == {"seconds": 4, "thumbs_up": 2}
    assert data.live["user"].tolist() == data.live["item_id"].tolist() and set(data.live["stage"]) == {"canary"}
    assert left_out(data) == {("new", "empty value"): 1, ("old", "empty value"): 1}


def test_anchor_items_may_be_read_again_and_again(live):
    data, _ = live([*anchor_rows(), *[row.replace("2026-12-01", "2026-12-08") for row in anchor_rows()]])
    assert data.live["time"].nunique() == 2 and len(data.live) == 24
    assert "stands more than once" in refused(live, rows=[*anchor_rows(), *anchor_rows()])


def test_a_stakeholder_asks_about_a_slice_that_is_there(live):
    ask = "\nstakeholders: [{name: APAC lead, concern: answers in %s, slice: %s}]\nlive_outcomes:"
    live(plan=("\nlive_outcomes:", ask % ("emea", "emea")))
    message = refused(live, plan=("\nlive_outcomes:", ask % ("apac", "eme")))
    assert "migration.yml: stakeholders.0.slice: slice 'eme' is in no item; did you mean 'emea'?" in message


def test_check_counts_the_live_stages(live):
    data, plan = live()
    lines = [line.split() for line in summary(plan, data).split("\n\nlive\n")[1].splitlines()]
    assert lines[1] == ["shadow", "6", "–", "3", "2026-11-01", "2026-11-06", "old,", "new"]
    assert lines[2] == ["canary", "8", "8", "–", "2026-11-20", "2026-11-20", "old,", "new"]
    assert lines[3] == ["anchor", "4", "–", "–", "2026-12-01", "2026-12-01", "old,", "new,", "small"]


def test_the_shadow_is_a_migration_of_its_own(live):
    data, plan = live()
    shadow, narrowed = shadow_data(data, plan)
    assert narrowed.model_ids == ("old", "new") and narrowed.criterion("correct").metrics == plan.criteria[0].metrics
    assert list(shadow.items["item_id"]) == [f"s{k}" for k in range(1, 7)] and "cluster_id" not in shadow.items
    assert shadow.traffic["share"].tolist() == data.traffic["share"].tolist()
    assert (shadow.scores["repeat"] == "0").all() and len(shadow.scores) == 30
    features = build_features(shadow, narrowed, "correct")
    assert features.sizes["item"] == 6 and int(features["label"].notnull().sum()) == 6
    assert np.isfinite(features["x"]).all()
    again, _ = live([row.replace("u2,", "u1,") for row in shadow_rows()])
    clustered, _ = shadow_data(again, plan)
    assert clustered.items["cluster_id"].tolist() == ["u1", "u1", "u3", "u4", "u5", "u6"]


def test_the_shadow_goes_without_the_metrics_slices_and_covariates_it_lacks(live):
    rows = [row for row in shadow_rows() if ",judge-x," not in row and row.endswith("emea")]
    data, plan = live(rows)
    note = data.notes["text"].item()
    assert "live.csv: shadow requests have no 'judge-x' of 'correct'" in note
    shadow, narrowed = shadow_data(data, plan)
    criterion = narrowed.criterion("correct")
    assert criterion.metrics == ("exact_match",) and criterion.primary_metric == "exact_match"
    assert shadow.traffic["slice"].tolist() == ["emea"] and shadow.traffic["share"].tolist() == [1.0]
    assert build_features(shadow, narrowed, "correct").sizes["slice"] == 1
    assert narrowed.metrics == () and plan.criterion("correct").metrics == ("judge-x", "exact_match")


def test_judgments_without_a_metric_beside_them_are_told(live):
    second = ("sampling:", "  - {id: tone, role: monitor, metrics: [tone-judge]}\nsampling:")
    more = [f"q{k:02d},{model},tone,tone-judge,judge,1" for k in range(1, 13) for model in ("old", "new", "small")]
    data, plan = live([*shadow_rows(), "s1,old,shadow,2026-11-01,tone,anna,human,1,u1,,amer"], plan=second,
                      scores=more)
    assert "live.csv: 1 human judgment of 'tone' on shadow requests cannot be used" in data.notes["text"].item()
    assert [one.id for one in shadow_data(data, plan)[1].criteria] == ["correct"]


def test_preferences_of_shadow_outputs_are_seen_from_the_candidate(live):
    second = ("sampling:", "  - {id: liked, scale: pairwise, role: monitor, metrics: [rival]}\nsampling:")
    more = [f"q{k:02d},{model},liked,rival,judge,{k % 3 - 1},old,left" for k in range(1, 13)
            for model in ("new", "small")]
    rows = [f"{row},," for row in shadow_rows()]
    rows += [f"s{k},old,shadow,2026-11-0{k},liked,rival,judge,{k % 3 - 1},u{k},,{'amer' if k % 2 else 'emea'},new,right"
             for k in range(1, 7)]
    data, plan = live(rows, columns=f"{COLUMNS},opponent,side", plan=second, scores=more)
    liked = data.live[data.live["criterion"] == "liked"]
    assert set(liked["model"]) == {"new"} and set(liked["opponent"]) == {"old"} and set(liked["side"]) == {"left"}
    assert liked["value"].tolist() == [-(k % 3 - 1) for k in range(1, 7)]
    shadow, narrowed = shadow_data(data, plan)
    assert build_features(shadow, narrowed, "liked").sizes["model"] == 2


def test_a_slice_cannot_be_called_as_a_column_of_live_tables(live):
    message = refused(live, plan=("slices: [region]", "slices: [region, stage]"))
    assert "migration.yml: data.live: 'stage' is a column of live tables and a slice or covariate too" in message


def test_covariates_of_live_outputs_reach_the_shadow(live, tiny_plan):
    outputs = [f"q{k:02d},{model},{k + 10}" for k in range(1, 13) for model in ("old", "new", "small")]
    (tiny_plan.parent / "outputs.csv").write_text("\n".join(["item_id,model,chars", *outputs]) + "\n")
    covariate = ("    margin: 0.05\n", "    margin: 0.05\n    covariates: [chars]\n")
    rows = [f"{row},{int('old' in row)}{row[1]}" for row in shadow_rows()]
    text = tiny_plan.read_text().replace("scores: [{path: scores.csv}]",
                                         "outputs: [{path: outputs.csv}]\n  scores: [{path: scores.csv}]\n"
                                         "  live: [{path: live.csv}]")
    tiny_plan.write_text(text.replace(*covariate))
    for there in (True, False):
        (tiny_plan.parent / "live.csv").write_text("\n".join(
            [f"{COLUMNS},chars" if there else COLUMNS, *(rows if there else shadow_rows())]) + "\n")
        plan = load_plan(tiny_plan)
        shadow, narrowed = shadow_data(load_data(plan), plan)
        assert narrowed.covariates == (("chars",) if there else ())
        features = build_features(shadow, narrowed, "correct")
        assert ("chars" in features["feature"].to_numpy()) is there


TEXTS = {("s1", "old"): "It is  the 5th", ("s1", "new"): "it is the 5th", ("s2", "old"): "Yes", ("s2", "new"): "No"}


def with_texts(texts=TEXTS, rows=None, *, kind="judge-x"):
    """Rows with a last column `text`: on rows of one rater, where an output has one."""
    rows = [*shadow_rows(), *canary_rows(), *anchor_rows()] if rows is None else rows
    return [f"{row},{texts.get(tuple(row.split(',')[:2]), '') if f',{kind},' in row else ''}" for row in rows]


def test_identical_outputs_of_the_shadow_share_a_judgment(live, tmp_path):
    # People judged s1 and s2 for the incumbent only.
    rows = [row for row in shadow_rows() if not (row[:6] in ("s1,new", "s2,new") and ",human," in row)]
    data, plan = live(rows=with_texts(rows=[*rows, *canary_rows(), *anchor_rows()]), columns=f"{COLUMNS},text")
    shadow, own = shadow_data(data, plan)
    assert len(shadow.outputs) == 4 and set(shadow.outputs["text"]) == set(TEXTS.values())
    label = build_features(shadow, own, "correct")["label"].to_pandas()
    assert label.loc["s1"].tolist() == [1.0, 1.0]
    assert label.loc["s2", "old"] == 1.0 and np.isnan(label.loc["s2", "new"])
    without, plain = live(rows=[*rows, *canary_rows(), *anchor_rows()])
    before = build_features(*shadow_data(without, plain), "correct")["label"].to_pandas()
    assert np.isnan(before.loc["s1", "new"]) and "text" not in without.live
    save_data(data, tmp_path / "run")
    pd.testing.assert_frame_equal(read_data(tmp_path / "run").live, data.live)


def test_texts_and_covariates_may_stand_on_different_rows_of_an_output(live, tiny_plan):
    items = pd.read_csv(tiny_plan.parent / "items.csv")
    items.assign(chars=range(len(items))).to_csv(tiny_plan.parent / "items.csv", index=False)
    rows = [f"{row},{len(row) if ',exact_match,' in row else ''}" for row in with_texts(rows=shadow_rows())]
    data, plan = live(rows=rows, columns=f"{COLUMNS},text,chars",
                      plan=("    margin: 0.05\n", "    margin: 0.05\n    covariates: [chars]\n"))
    outputs = shadow_data(data, plan)[0].outputs.set_index(["item_id", "model"])
    assert len(outputs) == 12 and outputs["chars"].notna().all()
    assert outputs.loc[("s2", "new"), "text"] == "No" and outputs["text"].notna().sum() == 4


def test_an_output_has_one_text(live):
    rows = with_texts() + [f"{row},Maybe" for row in shadow_rows() if row.startswith("s2,new") and ",anna," in row]
    rows = [row for row in rows if not (row.startswith("s2,new") and row.endswith(",") and ",anna," in row)]
    told = refused(live, rows=rows, columns=f"{COLUMNS},text")
    assert "column 'text'" in told and "'s2' of 'new'" in told and "'No'" in told and "'Maybe'" in told
    assert "rows" in told and "expected one" in told


def test_texts_of_other_stages_are_left_out_and_told(live):
    rows = with_texts({("r1", "old"): "a secret"}, kind="gateway")
    assert any("a secret" in row for row in rows)
    data, _ = live(rows=rows, columns=f"{COLUMNS},text")
    assert "text" not in data.live
    (told,) = [text for text in data.notes["text"] if "'text'" in text]
    assert "1 row of stage 'canary'" in told and "shadow" in told
    assert not any("'text'" in text for text in live()[0].notes["text"])


def test_the_text_of_the_request_is_not_taken_for_that_of_the_outputs(live):
    rows = with_texts({(item, model): f"What is {item}?" for item in ("s1", "s2") for model in ("old", "new")})
    told = refused(live, rows=rows, columns=f"{COLUMNS},text")
    assert "all models have the same text on each of 2 shadow requests" in told and "rename the column" in told


def test_one_request_alike_among_others_is_what_outputs_may_be(live):
    data, _ = live(rows=with_texts({**TEXTS, ("s1", "new"): TEXTS["s1", "old"]}), columns=f"{COLUMNS},text")
    told = data.live.drop_duplicates(["item_id", "model"]).set_index(["item_id", "model"])["text"]
    assert told["s1", "old"] == told["s1", "new"] and told["s2", "old"] != told["s2", "new"]


def test_texts_stand_on_rows_of_the_shadow_alone(live):
    # The same request in the canary, and outputs of the test set read again.
    rows = [*with_texts(rows=shadow_rows()), *(f"{row.replace('r1,', 's1,', 1)}," for row in canary_rows())]
    rows += with_texts({("q01", "old"): "a secret"}, rows=anchor_rows())
    data, _ = live(rows=rows, columns=f"{COLUMNS},text")
    assert set(data.live.loc[data.live["text"].notna(), "stage"]) == {"shadow"}
    assert (data.live.loc[data.live["stage"] == "canary", "item_id"] == "s1").any()
    (told,) = [text for text in data.notes["text"] if "'text'" in text]
    assert "1 row of stage 'anchor' is not used" in told
