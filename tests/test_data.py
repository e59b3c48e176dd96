"""The data contract: what a valid migration becomes, and that bad input is told with file, column and row."""

import shutil
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from migration_kit.contract.values import far_outside
from migration_kit.data import EvalData, data_digest, load_data, read_data, save_data
from migration_kit.errors import InputError
from migration_kit.plan import load_plan

PLANS = Path(__file__).parent / "plans"

REAL = """\
title: Real judgments
models:
  incumbent: {{id: {incumbent}}}
  candidates: [{{id: {candidate}}}]
data:
  items: {{path: {folder}/outputs.parquet}}
  scores:
    - path: {folder}/human.parquet
      columns: {{rater: annotator, rater_kind: {{value: human}}}}
      where: {{criterion: {criterion}}}
    - path: {folder}/metrics.parquet
      columns: {{criterion: {{value: {criterion}}}, rater: metric, rater_kind: {{value: code}}}}
      where: {{metric: [{metrics}]}}
criteria:
  - {{id: {criterion}, scale: {scale}, role: gate, margin: 0.2, metrics: [{metrics}]}}
"""


def real_plan(at: Path, **named: object) -> Path:
    """Write a plan for real judgments that lie in a folder of the reference data."""
    plan = at / "migration.yml"
    plan.write_text(REAL.format(**named), encoding="utf-8")
    return plan


class Tiny:
    """The tiny migration, to be changed and loaded."""

    def __init__(self, plan: Path) -> None:
        self.plan, self.folder = plan, plan.parent

    def edit(self, file, old, new, n=1):
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, n), encoding="utf-8")
        return self

    def write(self, file, content):
        self.folder.joinpath(file).write_text(content, encoding="utf-8")
        return self

    def append(self, file, content):
        with self.folder.joinpath(file).open("a", encoding="utf-8") as end:
            end.write(content)
        return self

    def drop(self, file, *words):
        path = self.folder / file
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not all(word in line for word in words)), encoding="utf-8")
        return self

    def load(self) -> EvalData:
        return load_data(load_plan(self.plan))

    def refused(self) -> str:
        before = sorted(path for path in self.folder.rglob("*"))
        with pytest.raises(InputError) as caught:
            self.load()
        assert sorted(path for path in self.folder.rglob("*")) == before, "something was written"
        return str(caught.value)


@pytest.fixture
def tiny(tiny_plan) -> Tiny:
    return Tiny(tiny_plan)


def counts(data: EvalData) -> dict[tuple[str, str, str], int]:
    return {(row.table, row.model, row.reason): row.n for row in data.exclusions.itertuples()}


class TestValid:
    def test_what_the_tiny_migration_becomes(self, tiny):
        data = tiny.load()
        assert list(data.items) == ["item_id", "slice", "region"]
        assert data.items["slice"].value_counts().to_dict() == {"amer": 8, "emea": 4}
        assert list(data.scores) == [
            "item_id", "model", "criterion", "rater", "rater_kind", "value", "repeat", "inclusion_prob"]
        assert data.scores.groupby("rater").size().to_dict() == {"anna": 30, "exact_match": 36, "judge-x": 36}
        assert data.scores["value"].isin([0.0, 1.0]).all()
        assert list(data.outputs) == ["item_id", "model"]
        assert data.outputs.empty
        assert data.held_out.empty
        assert data.exclusions.empty
        assert data.traffic.set_index("slice")["share"].to_dict() == pytest.approx({"amer": 0.4, "emea": 0.6})
        assert data.traffic["count"].isna().all()

    def test_no_slices_make_one_slice(self, tiny):
        data = tiny.edit("migration.yml", "slices: [region]\n", "").edit(
            "migration.yml", "path: traffic.csv, ", "").load()
        assert set(data.items["slice"]) == {"all items"}
        assert data.traffic.to_dict("records") == [{"slice": "all items", "share": 1.0, "count": 12.0}]

    def test_slices_of_several_columns(self, tiny):
        items = [f"q{n:02d},{'amer' if n % 2 else 'emea'},{'en' if n < 7 else 'de'}" for n in range(1, 13)]
        tiny.write("items.csv", "\n".join(["item_id,region,language", *items]))
        tiny.edit("migration.yml", "slices: [region]", "slices: [region, language]")
        tiny.write("traffic.csv", "language,region,count\nen,amer,30\nde,amer,10\nen,emea,0\nde,emea,60\n")
        data = tiny.load()
        assert data.items["slice"].iloc[0] == "amer · en"
        share = data.traffic.set_index("slice")["share"].to_dict()
        assert share == pytest.approx({"amer · en": 0.3, "amer · de": 0.1, "emea · en": 0.0, "emea · de": 0.6})
        assert data.traffic["count"].tolist() == [30, 10, 0, 60]

    def test_traffic_in_percent(self, tiny):
        tiny.write("traffic.csv", "region;share\namer;40\nemea;60\n")
        assert tiny.load().traffic["share"].tolist() == pytest.approx([0.4, 0.6])

    def test_names_are_untrusted_text(self, tiny):
        for file in ("migration.yml", "scores.csv"):
            tiny.edit(file, "new", "<script>NA</script>", 99)
        for file in ("items.csv", "traffic.csv"):
            tiny.edit(file, "emea", "None", 99)
        data = tiny.load()
        assert "<script>NA</script>" in set(data.scores["model"])
        assert set(data.items["slice"]) == {"amer", "None"}

    def test_numeric_ids_of_one_file_meet_text_of_another(self, tiny):
        tiny.edit("items.csv", "q", "", 99).edit("scores.csv", "q", "", 999)
        items = pd.read_csv(tiny.folder / "items.csv")
        assert items["item_id"].dtype == "int64"
        items.to_parquet(tiny.folder / "items.parquet")
        tiny.edit("migration.yml", "items.csv", "items.parquet")
        scores = pd.read_csv(tiny.folder / "scores.csv")
        scores.to_csv(tiny.folder / "scores.csv", index=False, float_format="%.1f")
        scores.assign(item_id=scores["item_id"].astype(float)).to_csv(tiny.folder / "scores.csv", index=False)
        data = tiny.load()
        assert set(data.scores["item_id"]) == {str(n) for n in range(1, 13)}
        assert data.exclusions.empty

    def test_truth_as_values(self, tiny):
        tiny.edit("scores.csv", "human,1", "human,True", 99).edit("scores.csv", "human,0", "human,false", 99)
        human = tiny.load().scores.query("rater_kind == 'human'")
        assert sorted(human["value"].unique()) == [0.0, 1.0]

    def test_saved_data_are_read_back(self, tiny, tmp_path):
        tiny.append("scores.csv", "q99,old,correct,judge-x,judge,1\n")
        data = tiny.load()
        save_data(data, tmp_path / "run" / "data")
        again = read_data(tmp_path / "run" / "data")
        for field in fields(EvalData):
            pd.testing.assert_frame_equal(getattr(again, field.name), getattr(data, field.name))

    def test_saved_data_that_are_gone_or_broken(self, tiny, tmp_path):
        save_data(tiny.load(), tmp_path / "data")
        tmp_path.joinpath("data", "traffic.parquet").write_bytes(b"x")
        with pytest.raises(InputError, match=r"traffic\.parquet: cannot be read .* run stage 01_baseline again"):
            read_data(tmp_path / "data")
        tmp_path.joinpath("data", "scores.parquet").unlink()
        with pytest.raises(InputError, match=r"scores\.parquet: there is no such file"):
            read_data(tmp_path / "data")

    def test_digest_follows_bytes_and_names(self, tiny, tmp_path):
        digest = data_digest(load_plan(tiny.plan))
        copy = tmp_path / "copy"
        shutil.copytree(tiny.folder, copy)
        assert data_digest(load_plan(copy / "migration.yml")) == digest
        Tiny(copy / "migration.yml").append("traffic.csv", "\n")
        assert data_digest(load_plan(copy / "migration.yml")) != digest
        tiny.folder.joinpath("scores.csv").rename(tiny.folder / "other.csv")
        with pytest.raises(InputError, match=r"data\.scores\.0\.path: 'scores\.csv': there is no such file"):
            data_digest(load_plan(tiny.plan))
        assert data_digest(load_plan(tiny.edit("migration.yml", "scores.csv", "other.csv").plan)) != digest

    def test_a_thousand_items_are_quick(self, tiny):
        items = [f"q{n},{'amer' if n % 2 else 'emea'}" for n in range(1000)]
        tiny.write("items.csv", "\n".join(["item_id,region", *items]))
        rows = [f"q{n},{model},correct,{rater},{kind},{(n + len(model)) % 2}" for n in range(1000)
                for model in ("old", "new", "small")
                for rater, kind in (("anna", "human"), ("judge-x", "judge"), ("exact_match", "code"))]
        tiny.write("scores.csv", "\n".join(["item_id,model,criterion,rater,rater_kind,value", *rows]))
        tiny.load()
        start = time.process_time()
        tiny.load()
        assert time.process_time() - start < 0.5


class TestKeptOut:
    def test_rows_the_plan_does_not_name_are_counted(self, tiny):
        tiny.append("scores.csv", "\n".join([
            "q01,other,correct,judge-x,judge,1",
            "q99,old,correct,judge-x,judge,no number",
            "q99,old,correct,anna,human,1",
            "q01,old,tone,judge-x,judge,no number",
            "q01,old,correct,judge-z,judge,0.1",
        ]) + "\n")
        data = tiny.load()
        assert counts(data) == {
            ("scores", "other", "model not in the plan"): 1,
            ("scores", "old", "item not in items"): 2,
            ("scores", "old", "criterion not in the plan"): 1,
            ("scores", "old", "metric not in the plan"): 1,
        }
        assert len(data.scores) == 102

    def test_empty_values_are_missing_and_counted(self, tiny):
        data = tiny.edit("scores.csv", "q01,new,correct,judge-x,judge,1", "q01,new,correct,judge-x,judge,").load()
        assert counts(data) == {
            ("scores", "new", "empty value"): 1,
            ("scores", "new", "metric 'judge-x' of 'correct' missing for the output"): 1,
        }

    def test_outputs_that_are_missing_are_counted_for_each_model(self, tiny):
        tiny.drop("scores.csv", "q02,small").drop("scores.csv", "q03,small").drop("scores.csv", "q12,old,", "exact")
        assert counts(tiny.load()) == {
            ("outputs", "small", "no output for the item"): 2,
            ("scores", "old", "metric 'exact_match' of 'correct' missing for the output"): 1,
        }

    def test_rows_outside_where_are_counted_once_however_many_tables_share_a_file(self, tiny):
        tiny.append("scores.csv", "q01,old,correct,ben,human,0\n")
        tiny.edit("migration.yml", "scores: [{path: scores.csv}]",
                  "scores: [{path: scores.csv, where: {rater: anna}},"
                  " {path: scores.csv, where: {rater_kind: [judge, code]}}]")
        data = tiny.load()
        assert counts(data) == {("scores", "", "outside `where`"): 1}
        assert len(data.scores) == 102

    def test_repeats_of_a_metric_are_averaged(self, tiny):
        tiny.edit("scores.csv", "value\n", "value,repeat\n")
        tiny.append("scores.csv", "q01,old,correct,judge-x,judge,0,1\nq01,old,correct,judge-x,judge,0,2\n")
        data = tiny.load()
        row = data.scores.query("item_id == 'q01' and model == 'old' and rater == 'judge-x'")
        assert row["value"].tolist() == pytest.approx([1 / 3])
        assert counts(data) == {("scores", "old", "repeats of a metric, averaged"): 2}
        assert len(data.scores) == 102

    def test_values_far_outside_their_metric_are_kept_and_told(self, tiny):
        tiny.edit("migration.yml", "exact_match]", "exact_match, chars]")
        rows = [f"q{n:02d},{model},correct,chars,code,{10 * n}" for n in range(1, 13)
                for model in ("old", "new", "small")]
        rows[0] = rows[0].replace("code,10", "code,1e9")
        data = tiny.append("scores.csv", "\n".join(rows) + "\n").load()
        assert data.exclusions.empty
        (note,) = data.notes.to_dict("records")
        assert note["text"].startswith("scores.csv row 104: 1 value of metric 'chars' of 'correct' lies far outside")
        assert "1e+09 for model 'old' on item 'q01', rater 'chars'" in note["text"]
        assert (note["criterion"], note["check"]) == ("correct", "")
        assert data.scores["value"].max() == 1e9

    def test_a_judgment_far_outside_a_scale_without_ends(self, tiny):
        tiny.edit("migration.yml", "scale: binary", "scale: continuous")
        data = tiny.edit("scores.csv", "anna,human,1", "anna,human,8000").load()
        assert data.exclusions.empty
        (note,) = data.notes.to_dict("records")
        assert note["text"].startswith("scores.csv row 2: 1 human judgment of 'correct' lies far outside the others")
        assert "8000 for model 'old' on item 'q01', rater 'anna'" in note["text"]
        assert (note["criterion"], note["check"]) == ("correct", "judgments are plausible")

    def test_required_criteria_keep_every_rater_and_repeat(self, tiny):
        tiny.append("migration.yml", "requirements: [{id: fast, criterion: latency_s, statistic: p95, at_most: 2}]\n")
        tiny.edit("scores.csv", "value\n", "value,repeat\n")
        tiny.append("scores.csv", "q01,old,latency_s,clock,code,0.7,1\nq01,old,latency_s,clock,code,0.9,2\n")
        latency = tiny.load().scores.query("criterion == 'latency_s'")
        assert latency["value"].tolist() == [0.7, 0.9]
        assert latency["repeat"].tolist() == ["1", "2"]


class TestFarOutside:
    @pytest.mark.parametrize(
        ("values", "n"),
        [
            ([], 0),
            ([5.0], 0),
            ([0.0] * 99 + [1.0], 0),
            ([0.0] * 99 + [30.0], 1),
            ([1e12] * 99 + [2e12], 0),
            ([*range(100), 999], 0),
            ([*range(100), 1200], 1),
            ([*range(100), -1200], 1),
            (np.random.default_rng(1).standard_exponential(5000), 0),
        ],
    )
    def test_far_is_far(self, values, n):
        assert far_outside(np.asarray(values, dtype=float)).sum() == n


class TestItems:
    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("region\n", "regoin\n", ["items.csv: column 'region' is missing", "did you mean 'regoin'",
                                      "data.items.0.columns: {region: ...}, or leave it out of slices"]),
            ("q05,amer", "q05,", ["items.csv: column 'region', row 6: the item has no slice (item_id 'q05')"]),
            ("q05,amer", 'q05,"  "', ["items.csv: column 'region', row 6: the item has no slice"]),
            ("q05", "q04", ["items.csv: item_id 'q04' stands in rows 5, 6; expected one row an item"]),
            ("q05", "q04 ", ["items.csv: item_id 'q04' stands in rows 5, 6"]),
            ("q05", "", ["items.csv: column 'item_id', row 6: is empty"]),
            ("q05,amer", "q05,all", ["items.csv: column 'region', row 6: a slice may not be called 'all'"]),
            ("item_id", "id", ["items.csv: column 'item_id' is missing"]),
        ],
    )
    def test_bad_items(self, tiny, old, new, words):
        message = tiny.edit("items.csv", old, new).refused()
        for word in words:
            assert word in message

    def test_slices_whose_joined_names_meet(self, tiny):
        items = [f"q{n:02d},{'a · b' if n % 2 else 'a'},{'c' if n % 2 else 'b · c'}" for n in range(1, 13)]
        tiny.write("items.csv", "\n".join(["item_id,region,language", *items]))
        tiny.edit("migration.yml", "slices: [region]", "slices: [region, language]")
        tiny.edit("migration.yml", "path: traffic.csv, ", "")
        assert "items.csv: two slices have one name once their columns are joined" in tiny.refused()

    def test_tables_are_merged_on_item_id(self, tiny):
        tiny.edit("items.csv", "region", "cluster_id", 1)
        rows = [f"q{n:02d},amer,{n},{model}" for n in range(0, 13) for model in ("old", "new")]
        tiny.write("more.csv", "\n".join(["item_id,region,length,model", *rows]))
        tiny.edit("migration.yml", "items: {path: items.csv}", "items: [{path: items.csv}, {path: more.csv}]")
        tiny.edit("migration.yml", "path: traffic.csv, ", "")
        tiny.edit("migration.yml", "    margin:", "    covariates: [length]\n    margin:")
        data = tiny.load()
        assert list(data.items) == ["item_id", "slice", "region", "length", "cluster_id"]
        assert data.items["length"].tolist() == [float(n) for n in range(1, 13)]
        assert counts(data) == {("items", "", "item not in the first table of items"): 1}

    def test_an_item_has_one_slice_for_all_models(self, tiny):
        tiny.write("items.csv", "item_id,model,region\nq01,old,amer\nq01,new,emea\n")
        message = tiny.refused()
        assert "items.csv: column 'region', rows 2, 3: item 'q01' has several values ('amer', 'emea')" in message
        assert "the slice of an item must be the same for all models" in message

    def test_tables_that_disagree(self, tiny):
        tiny.write("more.csv", "item_id,region\nq01,emea\n")
        tiny.edit("migration.yml", "items: {path: items.csv}", "items: [{path: items.csv}, {path: more.csv}]")
        assert "items.csv: column 'region', row 2: item 'q01' has another value in more.csv" in tiny.refused()

    def test_tables_without_a_common_item(self, tiny):
        tiny.write("more.csv", "item_id,region\nz,emea\n")
        tiny.edit("migration.yml", "items: {path: items.csv}", "items: [{path: items.csv}, {path: more.csv}]")
        assert "more.csv: none of its item_ids ('z') is in items.csv" in tiny.refused()

    @pytest.mark.parametrize(
        ("header", "cell", "words"),
        [
            ("lenght", "3", ["migration.yml: criteria.0.covariates: 'length' is a column neither of outputs nor",
                             "did you mean 'lenght'"]),
            ("length", "long", ["items.csv: column 'length', row 2: found 'long', expected a finite number"]),
            ("length", "inf", ["items.csv: column 'length', row 2: found 'inf'"]),
            ("length", "-1e16", ["items.csv: column 'length', row 2: found '-1e16'", "a number beyond 1e+15 cannot"]),
        ],
    )
    def test_bad_covariates(self, tiny, header, cell, words):
        tiny.edit("migration.yml", "    margin:", "    covariates: [length]\n    margin:")
        tiny.edit("items.csv", "region\nq01,amer", f"region,{header}\nq01,amer,{cell}")
        message = tiny.refused()
        for word in words:
            assert word in message

    def test_clusters_are_whole(self, tiny):
        tiny.edit("items.csv", "region\nq01,amer", "region,cluster_id\nq01,amer,1")
        message = tiny.refused()
        assert "items.csv: column 'cluster_id', rows 3, 4, 5, 6, 7 and 6 more: is empty (item_id 'q02', 'q03', 'q" in (
            message)
        assert "while 1 item has one; an item that belongs to no conversation or document is a cluster by" in message


class TestOutputs:
    @pytest.fixture
    def with_outputs(self, tiny) -> Tiny:
        rows = [f"q{n:02d},{model},{10 * n},text {n}" for n in range(1, 13) for model in ("old", "new", "small")]
        tiny.write("outputs.csv", "\n".join(["item_id,model,output_chars,text", *rows]) + "\n")
        tiny.edit("migration.yml", "  scores: [", "  outputs: [{path: outputs.csv}]\n  scores: [")
        return tiny.edit("migration.yml", "    margin:", "    covariates: [output_chars]\n    margin:")

    def test_covariates_and_texts(self, with_outputs):
        data = with_outputs.append("outputs.csv", "q01,other,5,x\nq99,old,5,x\n").load()
        assert list(data.outputs) == ["item_id", "model", "output_chars", "text"]
        assert len(data.outputs) == 36
        assert "output_chars" not in data.items
        assert counts(data) == {
            ("outputs", "other", "model not in the plan"): 1, ("outputs", "old", "item not in items"): 1}

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("q02,old,20", "q01,old,20", ["outputs.csv: the key item_id 'q01', model 'old' stands more than once",
                                          "outputs.csv rows 2, 5"]),
            ("q02,old,20", "q02,,20", ["outputs.csv: column 'model', row 5: is empty"]),
            ("q02,old,20", "q02,old,many", ["outputs.csv: column 'output_chars', row 5: found 'many'"]),
            ("output_chars", "outputs_chars", ["criteria.0.covariates: 'output_chars' is a column neither of",
                                               "did you mean 'outputs_chars'"]),
        ],
    )
    def test_bad_outputs(self, with_outputs, old, new, words):
        message = with_outputs.edit("outputs.csv", old, new).refused()
        for word in words:
            assert word in message

    def test_a_model_without_outputs(self, with_outputs):
        message = with_outputs.edit("outputs.csv", ",small,", ",smal,", 99).refused()
        assert "migration.yml: models.candidates.1.id: model 'small' has no output" in message
        assert "did you mean 'smal'?" in message

    def test_outputs_of_other_items(self, with_outputs):
        assert "outputs.csv: none of its item_ids ('z01', 'z02', 'z03' and 9 more) is in the items" in (
            with_outputs.edit("outputs.csv", "q", "z", 99).refused())

    def test_missing_outputs_and_covariates(self, with_outputs):
        with_outputs.drop("outputs.csv", "q02,small").drop("scores.csv", "q02,small")
        assert counts(with_outputs.edit("outputs.csv", "q03,new,30", "q03,new,").load()) == {
            ("outputs", "new", "covariate 'output_chars' missing"): 1,
            ("outputs", "small", "no output for the item"): 1,
        }


class TestScores:
    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("model", "modle", ["scores.csv: column 'modle' is not known; did you mean 'model'?"]),
            ("exact_match,code,0", "exact_match,code,good",
             ["scores.csv: column 'value', row 4 (criterion 'correct', rater 'exact_match'): found 'good'",
              "expected a finite number", "map words to numbers"]),
            ("exact_match,code,0", "exact_match,code,nan", ["row 4", "found 'nan'", "leave the cell empty"]),
            ("exact_match,code,0", "exact_match,code,-inf", ["row 4", "found '-inf'", "infinity cannot be averaged"]),
            ("exact_match,code,0", "exact_match,code,1e999", ["row 4", "found '1e999'", "infinity cannot be"]),
            ("exact_match,code,0", 'exact_match,code,"0,5"', ["row 4", "found '0,5'", "write a decimal point"]),
            ("human,1", "human,2", ["column 'value', row 2: found 2 for criterion 'correct', expected 0 or 1",
                                    "correct the value or leave the cell empty"]),
            ("human,1", "human,0.5", ["row 2: found 0.5 for criterion 'correct', expected 0 or 1 (scale binary); give "
                                      "one row a rater instead of their mean, or use scale: continuous"]),
            ("anna", "", ["column 'rater', row 2: is empty; every row of scores needs it: a name for the person or"]),
            ("human,1", "human,-1", ["row 2: found -1 for criterion 'correct', expected 0 or 1"]),
            ("human,1", "person,1", ["column 'rater_kind', row 2: found 'person', expected one of 'human'"]),
            ("judge,1", "judg,1", ["column 'rater_kind', row 3: found 'judg'", "did you mean 'judge'"]),
            ("q01,old,correct,judge-x,judge,1\n", "q01,old,correct,judge-x,judge,1\n" * 2,
             ["scores.csv: the key item_id 'q01', model 'old', criterion 'correct', rater 'judge-x', repeat '0'",
              "stands more than once (scores.csv rows 3, 4); keep one row"]),
            ("q02,old,correct,anna", "q01,old,correct,anna",
             ["scores.csv: the key item_id 'q01', model 'old', criterion 'correct', rater 'anna', repeat '0'",
              "stands more than once (scores.csv rows 2, 11); keep one row"]),
            ("exact_match,code,0", "exact_match,code,1e300",
             ["column 'value', row 4", "found '1e300', expected a finite number; a number beyond 1e+15 cannot be"]),
        ],
    )
    def test_bad_scores(self, tiny, old, new, words):
        message = tiny.edit("scores.csv", old, new).refused()
        for word in words:
            assert word in message
        assert len(message.splitlines()) == 1

    def test_one_key_in_two_files(self, tiny):
        tiny.folder.joinpath("more.csv").write_text(
            "item_id,model,criterion,rater,rater_kind,value\nq01,old,correct,judge-x,judge,0\n")
        tiny.edit("migration.yml", "scores: [", "scores: [{path: more.csv}, ")
        assert "stands more than once (more.csv row 2 and scores.csv row 3)" in tiny.refused()

    def test_several_problems_are_told_together(self, tiny):
        tiny.edit("scores.csv", "human,1", "human,3").edit("scores.csv", "exact_match,code,0", "exact_match,code,x")
        tiny.edit("traffic.csv", "emea", "emae")
        assert len(tiny.refused().splitlines()) == 3

    def test_several_raters_and_repeats_of_one_output_are_all_kept(self, tiny):
        tiny.edit("scores.csv", "value\n", "value,repeat\n")
        tiny.append("scores.csv", "q01,old,correct,anna,human,0,2\nq01,old,correct,ben,human,0,\n")
        data = tiny.load()
        rows = data.scores.query("item_id == 'q01' and model == 'old' and rater_kind == 'human'")
        assert rows[["rater", "repeat", "value"]].values.tolist() == [
            ["anna", "0", 1.0], ["anna", "2", 0.0], ["ben", "0", 0.0]]
        assert data.exclusions.empty

    @pytest.mark.parametrize(
        ("cells", "words"),
        [
            (["0.5", "1.5"], "column 'inclusion_prob', row 5: found 1.5, expected a probability above 0 and up to 1"),
            (["0.5", "0"], "column 'inclusion_prob', row 5: found 0, expected a probability"),
            (["0.5", "half"], "column 'inclusion_prob', row 5: found 'half', expected a finite number"),
            (["0.5", ""], "row 5: is empty while 29 other human judgments of criterion 'correct' have one; expected "
                          "all or none: where `migration-kit labels` chose items, name the table"),
        ],
    )
    def test_inclusion_probabilities(self, tiny, cells, words):
        lines = tiny.folder.joinpath("scores.csv").read_text().splitlines()
        given = iter([*cells, *["0.5"] * 28])
        lines = [f"{line},{next(given)}" if "human" in line else f"{line}," for line in lines]
        tiny.write("scores.csv", "\n".join(lines).replace("value,", "value,inclusion_prob", 1))
        assert words in tiny.refused()

    def test_one_inclusion_probability_an_output(self, tiny):
        tiny.edit("scores.csv", "value\n", "value,inclusion_prob\n")
        for cell in "01":
            tiny.edit("scores.csv", f"human,{cell}\n", f"human,{cell},0.25\n", 99)
        message = tiny.append("scores.csv", "q01,old,correct,ben,human,1,0.5\n").refused()
        assert "rows 2, 104: item 'q01' of model 'old' has several (0.25, 0.5); expected the same for all" in message

    def test_inclusion_probabilities_are_kept(self, tiny):
        tiny.edit("scores.csv", "value\n", "value,inclusion_prob\n")
        for cell in "01":
            tiny.edit("scores.csv", f"human,{cell}\n", f"human,{cell},0.25\n", 99)
        human = tiny.load().scores.query("rater_kind == 'human'")
        assert human["inclusion_prob"].eq(0.25).all()

    def test_scores_of_other_items(self, tiny):
        message = tiny.edit("items.csv", "q", "z", 99).refused()
        assert "write them as items does, or say with data.scores.0.columns: {item_id: ...}" in message
        assert "scores.csv: none of its item_ids ('q01', 'q02', 'q03' and 9 more) is in the items ('z01'" in message

    def test_no_scores(self, tiny):
        assert "scores.csv: has columns but no rows" in tiny.write(
            "scores.csv", "item_id,model,criterion,rater,rater_kind,value\n").refused()
        assert "scores.csv: is empty" in tiny.write("scores.csv", "").refused()


class TestPlanAndData:
    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("id: new,", "id: nwe,",
             ["migration.yml: models.candidates.0.id: model 'nwe' has no score", "did you mean 'new'"]),
            ("id: old,", "id: odl,", ["migration.yml: models.incumbent.id: model 'odl' has no score", "'old'"]),
            ("id: correct", "id: corect",
             ["migration.yml: criteria.0.id: criterion 'corect' has no human labels", "did you mean 'correct'"]),
            ("[judge-x, exact_match]", "[judge-x, exactmatch]",
             ["migration.yml: criteria.0.metrics.1: metric 'exactmatch' has no row", "did you mean 'exact_match'"]),
            ("family: x}", "family: x, criterion: right}",
             ["criteria.0.metrics.0: metric 'judge-x' has no row under criterion 'right'",
              "its rows stand under 'correct'"]),
            ("scores.csv", "score.csv",
             ["data.scores.0.path: 'score.csv': there is no such file", "the folder holds 'items.csv'"]),
            ("path: traffic.csv", "path: .", ["traffic.path: '.' is a folder"]),
        ],
    )
    def test_what_the_plan_names_must_be_there(self, tiny, old, new, words):
        message = tiny.edit("migration.yml", old, new).refused()
        for word in words:
            assert word in message
        assert len(message.splitlines()) == 1

    def test_no_human_labels_yet(self, tiny):
        data = tiny.drop("scores.csv", "human").load()
        assert set(data.scores["rater_kind"]) == {"judge", "code"}
        assert data.exclusions.empty

    def test_a_criterion_without_labels_beside_one_that_has_some(self, tiny):
        tiny.edit("migration.yml", "sampling:", "  - {id: correctness, role: monitor, metrics: [judge-x]}\nsampling:")
        tiny.edit("migration.yml", "family: x}", "family: x, criterion: correct}")
        assert set(tiny.load().scores["criterion"]) == {"correct"}

    def test_labels_of_another_spelling(self, tiny):
        message = tiny.edit("scores.csv", "correct,anna", "corect,anna", 99).refused()
        assert "criteria.0.id: criterion 'correct' has no human labels; human judgments are of 'corect'; did you" in (
            message)
        assert len(message.splitlines()) == 1

    def test_labels_only_of_items_that_are_not_there(self, tiny):
        lines = tiny.folder.joinpath("scores.csv").read_text().splitlines()
        tiny.write("scores.csv", "\n".join(f"x{line}" if "human" in line else line for line in lines))
        message = tiny.refused()
        assert "criteria.0.id: criterion 'correct' has human labels, but none for the plan's models and" in message
        assert len(message.splitlines()) == 1

    def test_a_criterion_whose_rows_stand_under_another_is_told_once(self, tiny):
        message = tiny.edit("migration.yml", "id: correct", "id: style").refused()
        assert "criteria.0.id: no metric of criterion 'style' has a row under it; their rows stand under 'correct'" in (
            message)
        assert len(message.splitlines()) == 1

    def test_a_wrong_only_metric_is_told_once(self, tiny):
        tiny.edit("migration.yml", "sampling:", "  - {id: style, role: monitor, metrics: [judge-y]}\nsampling:")
        message = tiny.refused()
        assert "criteria.1.metrics.0: metric 'judge-y' has no row under criterion 'style'" in message
        assert len(message.splitlines()) == 1

    def test_a_model_without_scores(self, tiny):
        assert "models.candidates.1.id: model 'small' has no score; the data names 'old', 'new'" in (
            tiny.drop("scores.csv", ",small,").refused())

    def test_a_model_without_metrics(self, tiny):
        message = tiny.drop("scores.csv", ",small,", "judge-x").drop("scores.csv", ",small,", "exact_match").refused()
        assert "criteria.0: model 'small' has no row of any metric of criterion 'correct'" in message

    def test_a_metric_that_cannot_exist_for_a_model_is_missing(self, tiny):
        assert counts(tiny.drop("scores.csv", ",small,", "judge-x").load()) == {
            ("scores", "small", "metric 'judge-x' of 'correct' missing for the output"): 12}

    def test_a_metric_under_another_criterion(self, tiny):
        tiny.edit("scores.csv", "correct,exact_match", "match,exact_match", 99)
        tiny.edit("migration.yml", "family: x}", "family: x}\n  - {id: exact_match, criterion: match}")
        data = tiny.load()
        assert data.exclusions.empty
        assert (data.scores["criterion"] == "match").sum() == 36

    def test_a_required_criterion(self, tiny):
        tiny.append("migration.yml", "requirements: [{id: f, criterion: corect, at_least: 0.9}]\n")
        message = tiny.refused()
        assert "migration.yml: requirements.0.criterion: scores hold no criterion 'corect'" in message
        assert "did you mean 'correct'" in message


class TestTraffic:
    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("region,share\namer,0.4\nemae,0.6\n",
             ["traffic.csv: does not name slice 'emea', which 4 items have; did you mean 'emae'?"]),
            ("region,share\namer,1\n", ["traffic.csv: does not name slice 'emea'", "give it a row"]),
            ("region,share\namer,0.4\nemea,0.5\napac,0.1\n", ["row 4: slice 'apac' has traffic but no item"]),
            ("region,share\namer,-0.4\nemea,1.4\n", ["column 'share', row 2: found -0.4, expected 0 or more"]),
            ("region,share\namer,0\nemea,0\n", ["column 'share' sums to 0; expected some traffic"]),
            ("region,count\namer,0\nemea,0\n", ["column 'count' sums to 0; expected some traffic"]),
            ("region,share\namer,0.1\nemea,0.6\n", ["column 'share' sums to 0.7, expected 1", "'count'"]),
            ("region,share\namer,\nemea,0.6\n", ["column 'share', row 2: is empty"]),
            ("region,share\namer,nan\nemea,0.6\n", ["column 'share', row 2: found 'nan', expected a finite number"]),
            ("region,share\namer,inf\nemea,0.6\n", ["column 'share', row 2: found 'inf', expected a finite number"]),
            ("region,share\namer,most\nemea,0.6\n", ["column 'share', row 2: found 'most'"]),
            ("region,share\n,0.4\nemea,0.6\n", ["column 'region', row 2: is empty"]),
            ("region,share\namer,0.4\namer,0.2\nemea,0.4\n", ["slice 'amer' stands in rows 2, 3; expected one row"]),
            ("region,share,count\namer,0.4,4\nemea,0.6,6\n", ["exactly one column of 'share' and 'count'"]),
            ("region\namer\nemea\n", ["exactly one column of 'share' and 'count', found none"]),
            ("reigon,share\namer,0.4\nemea,0.6\n", ["column 'region' is missing, which the plan's slices name; did you "
                                                  "mean 'reigon'?", "traffic.columns: {region: reigon}"]),
            ("country,share\namer,0.4\nemea,0.6\n", ["column 'region' is missing, which the plan's slices name; found "
                                                   "'country', 'share'; add or rename it, map it with traffic.columns: "
                                                   "{region: country}, or leave it out of slices"]),
            ("region,share,note\namer,0.4,a\nemea,0.6,b\n", ["column 'note' is not known"]),
            ("region,share\n", ["has columns but no rows"]),
        ],
    )
    def test_bad_traffic(self, tiny, content, words):
        message = tiny.write("traffic.csv", content).refused()
        for word in words:
            assert word in message
        assert all(line.startswith("traffic.csv: ") for line in message.splitlines())

    def test_one_item_of_a_misspelt_slice(self, tiny):
        assert "traffic.csv: does not name slice 'emae', which 1 items have; did you mean 'emea'?" in (
            tiny.edit("items.csv", "emea", "emae").refused())

    def test_a_slice_without_traffic_and_items_is_nothing(self, tiny):
        data = tiny.append("traffic.csv", "apac,0\n").load()
        assert data.traffic["slice"].tolist() == ["amer", "emea"]

    def test_many_slices_without_traffic_are_told_once(self, tiny):
        tiny.write("items.csv", "\n".join(["item_id,region", *(f"q{n:02d},r{n}" for n in range(1, 13))]))
        assert "traffic.csv: does not name 12 slices that items have ('r1', 'r2'" in tiny.refused()

    def test_columns_of_the_users_own(self, tiny):
        tiny.write("traffic.csv", "market,requests,month\namer,30,8\nemea,60,8\namer,1,7\n")
        tiny.edit("migration.yml", "path: traffic.csv",
                  "path: traffic.csv, columns: {region: market, count: requests}, where: {month: 8}")
        data = tiny.load()
        assert data.traffic["count"].tolist() == [30, 60]
        assert counts(data) == {("traffic", "", "outside `where`"): 1}

    def test_without_a_table_the_items_stand_for_the_traffic(self, tiny):
        data = tiny.edit("migration.yml", "path: traffic.csv, ", "").load()
        assert data.traffic["slice"].tolist() == ["amer", "emea"]
        assert data.traffic["share"].tolist() == pytest.approx([8 / 12, 4 / 12])
        assert data.traffic["count"].tolist() == [8, 4]


class TestHeldOut:
    @pytest.fixture
    def held(self, tiny) -> Tiny:
        tiny.write("held.csv", "item_id,model,criterion,rater,rater_kind,value\nq01,old,correct,ben,human,0.4\n"
                               "q01,old,correct,cleo,human,1\n")
        return tiny.edit("migration.yml", "  scores: [", "  held_out: [{path: held.csv}]\n  scores: [")

    def test_several_raters_and_means(self, held):
        data = held.append("held.csv", "q01,old,tone,ben,human,1\nq01,old,correct,judge-x,judge,7\n"
                                       "q02,big,correct,ben,human,1\nq99,old,correct,ben,human,1\n").load()
        assert data.held_out["value"].tolist() == [0.4, 1.0]
        assert list(data.held_out) == list(data.scores)
        assert counts(data) == {
            ("held_out", "old", "criterion not in the plan"): 1,
            ("held_out", "old", "not a human judgment"): 1,
            ("held_out", "big", "model not in the plan"): 1,
            ("held_out", "old", "item not in items"): 1,
        }

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("0.4", "1.4", "held.csv: column 'value', row 2: found 1.4 for criterion 'correct', expected 0 to 1"),
            ("0.4", "good", "held.csv: column 'value', row 2 (criterion 'correct', rater 'ben'): found 'good'"),
            ("cleo", "ben", "held.csv: the key item_id 'q01', model 'old', criterion 'correct', rater 'ben'"),
            ("model", "modle", "held.csv: column 'modle' is not known; did you mean 'model'?"),
        ],
    )
    def test_bad_judgments(self, held, old, new, words):
        assert words in held.edit("held.csv", old, new).refused()

    def test_nothing_for_the_plan(self, held):
        message = held.edit("held.csv", "correct", "tone", 9).refused()
        assert "held.csv: holds no human judgment of the plan's criteria" in message


class TestRealData:
    def test_openqa_as_it_lies(self, shared_data):
        plan = load_plan(PLANS / "openqa.yml")
        data = load_data(plan)
        assert len(data.items) == 301
        assert set(data.items["slice"]) == {"who", "what", "when", "where", "how", "which", "other"}
        human = data.scores[data.scores["rater_kind"] == "human"]
        rates = human.groupby("model")["value"].mean().round(4).to_dict()
        assert rates == {"DPR": 0.626, "EMDR2": 0.8015, "FiD": 0.6467, "InstructGPT-003-fewshot-n64": 0.758}
        assert len(human) == len(data.outputs)
        found = counts(data)
        assert found["outputs", "DPR", "no output for the item"] == 39
        assert found["outputs", "EMDR2", "no output for the item"] == 29
        assert found["scores", "EMDR2", "metric 'judge_GPT-4' of 'acceptable' missing for the output"] == 2
        assert found["scores", "", "outside `where`"] == 7462
        assert data.outputs["answer_chars"].notna().all()
        pairs = human.pivot(index="item_id", columns="model", values="value")
        delta = (pairs["InstructGPT-003-fewshot-n64"] - pairs["DPR"]).dropna()
        assert (len(delta), round(delta.mean(), 3)) == (244, 0.127)

    def test_every_model_of_openqa_can_be_a_candidate(self, shared_data, tmp_path):
        models = pd.read_parquet(shared_data / "openqa_nq301" / "human.parquet")["model"].unique()
        text = PLANS.joinpath("openqa.yml").read_text(encoding="utf-8")
        head, tail = text.split("  candidates:")
        others = ", ".join(f"{{id: {model}}}" for model in models if model != "DPR")
        text = f"{head}  candidates: [{others}]\ndata:{tail.split('data:', 1)[1]}"
        plan = tmp_path / "openqa.yml"
        plan.write_text(text.replace("../../../shared/data", shared_data.as_posix()), encoding="utf-8")
        data = load_data(load_plan(plan))
        assert data.scores["model"].nunique() == 12
        assert not (data.exclusions["reason"] == "model not in the plan").any()

    def test_triviaqa_as_it_lies(self, shared_data):
        plan = load_plan(PLANS / "triviaqa.yml")
        data = load_data(plan)
        assert len(data.items) == 400
        assert len(plan.criterion("correct").metrics) == 11
        assert len(data.outputs) == 4 * 400
        assert len(data.scores) == 4 * 400 * 12
        assert not data.exclusions["reason"].str.contains("missing").any()
        human = data.scores[data.scores["rater_kind"] == "human"].groupby("model")["value"].mean()
        assert human["llama2-7b-base"] - human["llama2-70b-chat"] == pytest.approx(-0.095)

    def test_all_raters_of_openqa(self, shared_data, tmp_path):
        text = PLANS.joinpath("openqa.yml").read_text(encoding="utf-8")
        plan = tmp_path / "openqa.yml"
        text = text.replace("annotator: consolidated", "annotator: [annotator1, annotator2]")
        plan.write_text(text.replace("../../../shared/data", shared_data.as_posix()), encoding="utf-8")
        data = load_data(load_plan(plan))
        human = data.scores[data.scores["rater_kind"] == "human"]
        n = human.groupby(["item_id", "model"]).size()
        assert set(human["rater"]) == {"annotator1", "annotator2"}
        assert n.max() == 2

    def test_ordinal_judgments_of_three_raters(self, shared_data, tmp_path):
        data = load_data(load_plan(real_plan(
            tmp_path, folder=shared_data / "hanna", incumbent="GPT-2", candidate="HINT", criterion="relevance",
            scale="{ordinal: [1, 5]}", metrics="BLEU, METEOR")))
        human = data.scores[data.scores["rater_kind"] == "human"]
        assert set(human["value"]) == {1.0, 2.0, 3.0, 4.0, 5.0}
        assert human.groupby(["item_id", "model"]).size().eq(3).all()
        assert not data.exclusions["reason"].str.contains("missing").any()

    def test_continuous_judgments(self, shared_data, tmp_path):
        data = load_data(load_plan(real_plan(
            tmp_path, folder=shared_data / "wmt23_mt", incumbent="ONLINE-B", candidate="GPT4-5shot", criterion="mqm",
            scale="continuous", metrics="BLEU, COMET")))
        source = pd.read_parquet(shared_data / "wmt23_mt" / "human.parquet").query("criterion == 'mqm'")
        human = data.scores[data.scores["rater_kind"] == "human"].groupby("model")["value"].mean()
        for model in ("ONLINE-B", "GPT4-5shot"):
            assert human[model] == pytest.approx(source.loc[source["model"] == model, "value"].mean())

    def test_medians_between_two_levels_are_told(self, shared_data, tmp_path):
        with pytest.raises(InputError, match=r"expected a whole level from 1 to 6 .* or use scale: continuous"):
            load_data(load_plan(real_plan(
                tmp_path, folder=shared_data / "nlg_emnlp17", incumbent="LOLS", candidate="RNNLG",
                criterion="quality", scale="{ordinal: [1, 6]}", metrics="Bleu_4")))
