"""Tables as users have them: formats, column maps, rows chosen, wide tables, and what is said of broken ones."""

import datetime
import gzip
import io
import json

import pandas as pd
import pytest

from migration_kit.errors import InputError
from migration_kit.plan_spec import TableSpec
from migration_kit.readers import read_scores, read_table

HEAD = "item_id,model,criterion,rater,rater_kind,value"
ROWS = ["q1,old,correct,anna,human,1", "q1,new,correct,anna,human,0", "q2,old,correct,judge-x,judge,0.25"]
CSV = "\n".join([HEAD, *ROWS]) + "\n"


@pytest.fixture
def table(tmp_path):
    """Write a file and read it as a table."""

    def read(name, content=None, *, kind="scores", known=None, numeric=(), **spec):
        if content is not None:
            tmp_path.joinpath(name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(TableSpec(path=name, **spec), folder=tmp_path, kind=kind, known=known, numeric=numeric)

    return read


@pytest.fixture
def refused(table):
    """Read a table that must be refused and return the message."""

    def read(*args, **kwargs):
        with pytest.raises(InputError) as caught:
            table(*args, **kwargs)
        return str(caught.value)

    return read


def parquet(folder, name="scores.parquet", **columns):
    rows = {"item_id": ["q1", "q2"], "model": "old", "criterion": "correct", "rater": "a", "rater_kind": "code"}
    frame = pd.DataFrame({**rows, "value": [1.0, 0.0], **columns})
    frame.to_parquet(folder / name)
    return name


def jsonl(*records):
    return "\n".join(json.dumps(record) for record in records) + "\n"


class TestFormats:
    @pytest.mark.parametrize(
        "content",
        [
            CSV,
            "\ufeff" + CSV,
            CSV.replace(",", ";"),
            "\ufeff" + CSV.replace(",", ";").replace("\n", "\r\n"),
            CSV.replace("\n", "\r\n").rstrip(),
            CSV.replace("q1", " q1 ").replace("value", " value "),
            CSV.replace("old", '"old"'),
        ],
    )
    def test_csv_as_it_comes(self, table, content):
        frame = table("scores.csv", content)
        assert frame["item_id"].tolist() == ["q1", "q1", "q2"]
        assert frame["model"].tolist() == ["old", "new", "old"]
        assert frame["value"].tolist() == [1.0, 0.0, 0.25]
        assert frame["_row"].tolist() == [2, 3, 4]
        assert set(frame["_file"]) == {"scores.csv"}

    def test_all_formats_give_the_same_table(self, table, tmp_path):
        expected = table("scores.csv", CSV).drop(columns=["_file", "_row"])
        records = expected.drop(columns="_found").to_dict("records")
        pd.DataFrame(records).to_parquet(tmp_path / "scores.parquet")
        files = {"scores.jsonl": jsonl(*records).encode(), "scores.parquet": None}
        files |= {"z.csv.gz": gzip.compress(CSV.encode()), "z.jsonl.gz": gzip.compress(files["scores.jsonl"])}
        for name, content in files.items():
            frame = table(name, content).drop(columns=["_file", "_row"])
            pd.testing.assert_frame_equal(frame, expected)

    def test_rows_are_lines_even_after_text_with_line_breaks_and_blank_lines(self, refused):
        content = 'item_id,text\nq1,"two\nlines, and ""quotes"""\n\nq2,x\n,y\n'
        assert "items.csv: column 'item_id', row 6: is empty" in refused("items.csv", content, kind="items")

    def test_byte_order_mark_of_json_lines(self, table):
        assert table("i.jsonl", "\ufeff" + jsonl({"item_id": "q1"}), kind="items")["item_id"].tolist() == ["q1"]

    def test_rows_of_json_lines_count_blank_lines(self, refused):
        content = jsonl({"item_id": "q1"}) + "\n" + jsonl({"item_id": None})
        assert "items.jsonl: column 'item_id', row 3: is empty" in refused("items.jsonl", content, kind="items")

    def test_line_separators_inside_json_text_are_text(self, table):
        content = json.dumps({"item_id": "q1", "text": "a\u2028b"}, ensure_ascii=False) + "\n"
        assert table("items.jsonl", content, kind="items")["text"].tolist() == ["a\u2028b"]

    def test_words_for_missing_are_names_in_ids(self, table):
        content = CSV.replace("old", "NA").replace("new", "None").replace("q2", "null").replace("anna", "nan")
        frame = table("scores.csv", content)
        assert frame["model"].tolist() == ["NA", "None", "NA"]
        assert frame["item_id"].tolist() == ["q1", "q1", "null"]
        assert frame["rater"].tolist() == ["nan", "nan", "judge-x"]

    def test_index_of_a_saved_frame_is_no_column(self, table, tmp_path):
        frame = pd.read_csv(io.StringIO(CSV))
        frame.to_csv(tmp_path / "with_index.csv")
        assert table("with_index.csv")["item_id"].tolist() == ["q1", "q1", "q2"]
        frame.set_index("item_id").to_parquet(tmp_path / "index.parquet")
        assert table("index.parquet")["item_id"].tolist() == ["q1", "q1", "q2"]

    def test_glob_reads_all_files_sorted(self, table, tmp_path):
        tmp_path.joinpath("deep").mkdir()
        for name, row in zip("bac", ROWS, strict=True):
            tmp_path.joinpath("deep", f"{name}.csv").write_text(f"{HEAD}\n{row}\n")
        tmp_path.joinpath("deep", "folder.csv").mkdir()
        frame = table("deep/*.csv")
        assert frame["_file"].tolist() == ["deep/a.csv", "deep/b.csv", "deep/c.csv"]
        assert len(table("**/*.csv")) == 3

    def test_a_name_with_brackets_is_a_name(self, table):
        assert len(table("scores[1].csv", CSV)) == 3

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("s.csv", b"", "s.csv: is empty"),
            ("s.csv", b"\n \n", "s.csv: is empty"),
            ("s.csv", HEAD.encode() + b"\n", "s.csv: has columns but no rows"),
            ("s.csv", CSV.encode("utf-16"), "s.csv: has the encoding UTF-16; save it as UTF-8"),
            ("s.csv", CSV.replace("new", "n\u00e9w").encode("latin-1"), "s.csv: row 3 is not UTF-8 (byte 0xe9)"),
            ("s.csv", CSV.replace("new", "n\0w").encode(), "s.csv: row 3 holds a zero byte"),
            ("s.csv", CSV.replace("new", '"new').encode(), "s.csv: row 3 opens a double quote that is never closed"),
            ("s.csv", CSV.replace("new", "new,er").encode(), "s.csv: row 3 has 7 cells, expected 6"),
            ("s.csv", CSV.replace(",value", "").encode(), "s.csv: the header names 5 columns, but row 2 has 6 cells"),
            ("s.csv", CSV.replace("rater_kind,", "rater,").encode(), "s.csv: column 'rater' stands twice"),
            ("s.csv.gz", b"text", "s.csv.gz: is not a whole gzip file"),
            ("s.csv.gz", gzip.compress(CSV.encode())[:-9], "s.csv.gz: is not a whole gzip file"),
            ("s.parquet", b"", "s.parquet: is empty"),
            ("s.parquet", b"PAR1 nothing PAR1", "s.parquet: is not a readable Parquet file"),
            ("s.jsonl", b'{"item_id": "q1"}\n{"item_id": \n', "s.jsonl: row 2 is not JSON (Expecting value)"),
            ("s.jsonl", b'{"item_id": "q1"}\n["q2"]\n', "s.jsonl: row 2 is not a JSON object, found ['q2']"),
            ("s.xlsx", b"x", "s.xlsx has a format that is not read; expected .csv"),
            ("s.json", b"[]", "s.json has a format that is not read; expected .csv"),
        ],
    )
    def test_broken_files(self, refused, name, content, words):
        assert words in refused(name, content)

    def test_a_cut_parquet_file(self, refused, tmp_path):
        name = parquet(tmp_path)
        whole = tmp_path.joinpath(name).read_bytes()
        broken = whole[: len(whole) // 3] + b"\0" * (len(whole) // 3) + whole[2 * len(whole) // 3 :]
        assert "scores.parquet: is not a readable Parquet file" in refused(name, broken)

    def test_no_such_file_names_the_plan_key_and_what_is_there(self, refused, tmp_path):
        tmp_path.joinpath("scores.csv").write_text(CSV)
        message = refused("score.csv")
        assert "data.scores.path: 'score.csv': there is no such file" in message
        assert "the folder holds 'scores.csv'" in message
        assert "there is no folder" in refused("nowhere/score.csv")
        assert "data.scores.path: '*.jsonl' matches no file" in refused("*.jsonl")

    def test_a_folder_is_no_file(self, refused, tmp_path):
        tmp_path.joinpath("logs.csv").mkdir()
        assert "'logs.csv' is a folder; name its files, e.g. logs.csv/*.csv" in refused("logs.csv")
        assert "'*.csv' matches only folders" in refused("*.csv")


class TestCells:
    def test_ids_are_text_however_they_are_stored(self, table, tmp_path):
        csv = table("i.csv", "item_id\n12\n7\n", kind="items")
        text = table("i.jsonl", jsonl({"item_id": 12}, {"item_id": "7 "}), kind="items")
        whole = table(parquet(tmp_path, "i.parquet", item_id=[12, 7]), kind="items")
        gaps = table(parquet(tmp_path, "g.parquet", item_id=[12.0, 7.0]), kind="items")
        kinds = table(parquet(tmp_path, "k.parquet", item_id=pd.Categorical(["12", "7"])), kind="items")
        for frame in (csv, text, whole, gaps, kinds):
            assert frame["item_id"].tolist() == ["12", "7"]
            assert frame["item_id"].dtype == "str"

    def test_ids_that_a_spreadsheet_made_decimal(self, table):
        assert table("i.csv", "item_id\n12.0\n7.0\n", kind="items")["item_id"].tolist() == ["12", "7"]
        assert table("i.csv", "item_id\n4.0\n3.5\n", kind="items")["item_id"].tolist() == ["4.0", "3.5"]

    def test_long_ids_keep_every_digit(self, table):
        content = jsonl({"item_id": 12345678901234567890123}, {"item_id": 9007199254740993})
        assert table("i.jsonl", content, kind="items")["item_id"].tolist() == [
            "12345678901234567890123", "9007199254740993"]

    def test_dates_and_truth_as_ids(self, table, tmp_path):
        name = parquet(tmp_path, model=[datetime.date(2026, 1, 2)] * 2, rater=[True, False])
        frame = table(name)
        assert frame["model"].tolist() == ["2026-01-02"] * 2
        assert frame["rater"].tolist() == ["true", "false"]

    def test_numbers_as_people_write_them(self, table):
        cells = ["1", " 0.5 ", "true", "FALSE", "1e-3", "-2", "+3", ".5"]
        content = "\n".join([HEAD, *(f"q{n},old,correct,x,code,{cell}" for n, cell in enumerate(cells))])
        assert table("s.csv", content)["value"].tolist() == [1, 0.5, 1, 0, 0.001, -2, 3, 0.5]
        content = jsonl(*({"item_id": str(n), "model": "old", "criterion": "c", "rater": "x", "rater_kind": "code",
                           "value": value} for n, value in enumerate([1, 0.5, True, False, "0.25", None])))
        assert table("s.jsonl", content)["value"].tolist()[:5] == [1, 0.5, 1, 0, 0.25]

    def test_half_an_emoji_and_bytes_are_read(self, table, tmp_path):
        frame = table("o.jsonl", '{"item_id": "q1", "model": "a", "text": "cut \\ud83d"}\n', kind="outputs")
        assert frame["text"].tolist() == ["cut ?"]
        frame = table("o.jsonl", '{"item_id": "q1", "model": "a", "text": "\\ud83d\\ude00"}\n', kind="outputs")
        assert frame["text"].tolist() == ["\U0001f600"]
        name = parquet(tmp_path, item_id=[b"q1", b"q2"], text=[b"caf\xc3\xa9", None])
        frame = table(name, kind="outputs")
        assert frame["item_id"].tolist() == ["q1", "q2"]
        assert frame["text"].tolist()[0] == "caf\u00e9"

    def test_truth_in_parquet(self, table, tmp_path):
        assert table(parquet(tmp_path, value=[True, False]))["value"].tolist() == [1.0, 0.0]

    @pytest.mark.parametrize("cell", ["good", "nan", "NaN", "inf", "-Infinity", "1e999", "0,5", "1_000", "NA", "0x1"])
    def test_what_is_no_number_is_kept_to_be_told(self, table, cell):
        content = CSV.replace("0.25", f'"{cell}"')
        frame = table("s.csv", content)
        assert frame["_found"].tolist()[2] == cell
        assert frame["value"].isna().tolist() == [False, False, True]
        record = {"item_id": "1", "model": "m", "criterion": "c", "rater": "r", "rater_kind": "code", "value": cell}
        frame = table("s.jsonl", jsonl(record, {**record, "item_id": "2", "value": 1}))
        assert frame["_found"].tolist()[0] == cell

    def test_infinity_lists_and_dates_as_values(self, table, tmp_path):
        assert table(parquet(tmp_path, value=[float("inf"), 1]))["_found"].tolist()[0] == "inf"
        stamps = pd.to_datetime(["2026-01-01", "2026-01-02"])
        assert table(parquet(tmp_path, value=stamps))["_found"].notna().all()
        content = jsonl({"item_id": 1, "model": "m", "criterion": "c", "rater": "r", "rater_kind": "code",
                         "value": [1]})
        assert table("s.jsonl", content)["_found"].tolist() == ["[1]"]

    def test_json_nan_and_infinity_are_refused_as_values_and_harmless_elsewhere(self, table):
        line = '{"item_id": 1, "model": "m", "criterion": "c", "rater": "r", "rater_kind": "code", "value": %s}\n'
        assert table("s.jsonl", line % "NaN" + line % "-Infinity")["_found"].tolist() == ["NaN", "-Infinity"]
        assert len(table("i.jsonl", '{"item_id": 1, "score": NaN}\n', kind="items")) == 1

    def test_empty_values_are_missing(self, table, tmp_path):
        frame = table("s.csv", CSV.replace("0.25", ""))
        assert frame["value"].isna().tolist() == [False, False, True]
        assert frame["_found"].isna().all()
        assert table(parquet(tmp_path, value=[1.0, None]))["_found"].isna().all()

    def test_a_list_is_no_id(self, refused):
        content = jsonl({"item_id": {"a": 1}}, {"item_id": "q"})
        message = refused("i.jsonl", content, kind="items")
        assert "i.jsonl: column 'item_id', row 1: found a list or mapping" in message
        assert "dotted path" in message

    @pytest.mark.parametrize("column", ["item_id", "model", "criterion", "rater", "rater_kind"])
    def test_every_row_of_scores_is_named(self, refused, column):
        place = HEAD.split(",").index(column)
        cells = ROWS[1].split(",")
        cells[place] = "  "
        message = refused("s.csv", "\n".join([HEAD, ROWS[0], ",".join(cells)]))
        assert f"s.csv: column '{column}', row 3: is empty; every row of scores needs it" in message

    def test_rater_kinds(self, refused):
        message = refused("s.csv", CSV.replace("human", "Human"))
        assert "column 'rater_kind', rows 2, 3: found 'Human', expected one of 'human', 'judge', 'code'" in message
        assert "did you mean 'human'" in message

    def test_many_rows_are_counted(self, refused):
        rows = [f"q{n},old,c,r,kode,1" for n in range(40)]
        assert "rows 2, 3, 4, 5, 6 and 35 more" in refused("s.csv", "\n".join([HEAD, *rows]))


class TestColumns:
    def test_unknown_column(self, refused):
        message = refused("s.csv", CSV.replace("model", "modle"))
        assert message.startswith("s.csv: column 'modle' is not known; did you mean 'model'?")
        assert len(message.splitlines()) == 1

    def test_unknown_column_without_a_near_name(self, refused):
        content = CSV.replace("value\n", "value,zzz\n").replace("human,1\n", "human,1,9\n")
        message = refused("s.csv", content)
        assert "column 'zzz' is not known; expected 'item_id'" in message
        assert "did you mean" not in message

    def test_missing_column(self, refused):
        message = refused("s.csv", "item_id,model,criterion,rater_kind,value\nq1,old,c,human,1\n")
        assert "s.csv: column 'rater' is missing; did you mean 'rater_kind'?; the file has 'item_id'" in message
        assert "map it with data.scores.columns" in message

    def test_items_may_be_wide(self, table):
        frame = table("i.csv", "item_id,region,n,more\nq1,amer,3,x\n", kind="items",
                      known=("item_id", "region", "n"), numeric=("n",))
        assert list(frame) == ["item_id", "region", "n", "_file", "_row"]
        assert frame["n"].tolist() == [3.0]

    def test_text_in_a_covariate(self, refused):
        message = refused("i.csv", "item_id,n\nq1,3\nq2,long\n", kind="items", known=("item_id", "n"), numeric=("n",))
        assert "i.csv: column 'n', row 3: found 'long', expected a finite number" in message

    def test_names_constants_and_maps(self, table):
        content = "id,system,verdict,note\nq1,old,Yes,a\nq2,old, no ,b\nq3,old,,c\n"
        frame = table("s.csv", content, columns={
            "item_id": "id", "model": "system", "criterion": {"value": "correct"}, "rater": {"value": "judge-x"},
            "rater_kind": {"value": "judge"}, "value": {"from": "verdict", "map": {"Yes": 1, "no": 0}}})
        assert frame["value"].tolist()[:2] == [1.0, 0.0]
        assert frame["value"].isna().tolist() == [False, False, True]
        assert frame["criterion"].tolist() == ["correct"] * 3
        assert "note" not in frame

    def test_a_map_names_every_value(self, refused):
        message = refused("s.csv", CSV, columns={"value": {"from": "value", "map": {"1": 1, "0": 0, "0.3": 1}}})
        assert "s.csv: column 'value', row 4: found '0.25', which data.scores.columns.value.map does not" in message
        assert "expected one of '1', '0', '0.3'" in message

    def test_maps_of_truth(self, table, tmp_path):
        frame = table(parquet(tmp_path, value=[True, False]), columns={"value": {"from": "value", "map": {
            True: 0, False: 1}}})
        assert frame["value"].tolist() == [0.0, 1.0]

    def test_dotted_paths(self, table):
        content = jsonl(
            {"id": 1, "response": {"model": "old", "usage": {"ms": 120}}, "choices": [{"text": "a"}]},
            {"id": 2, "response": {"model": "old"}, "choices": []},
        )
        frame = table("logs.jsonl", content, kind="outputs", known=("item_id", "model", "text", "ms"), numeric=("ms",),
                      columns={"item_id": "id", "model": "response.model", "text": "choices.0.text",
                               "ms": "response.usage.ms"})
        assert frame["model"].tolist() == ["old", "old"]
        assert frame["ms"].tolist()[0] == 120
        assert frame["ms"].isna().tolist() == [False, True]
        assert frame["text"].tolist()[0] == "a"

    def test_dotted_paths_into_parquet_and_names_with_dots(self, table, tmp_path):
        name = parquet(tmp_path, response=[{"ms": 1.5}, {"ms": 2.5}], **{"a.b": [7.0, 8.0]})
        assert table(name, columns={"value": "response.ms"})["value"].tolist() == [1.5, 2.5]
        assert table(name, columns={"value": "a.b"})["value"].tolist() == [7.0, 8.0]

    def test_a_path_that_leads_nowhere(self, refused):
        content = jsonl({"item_id": 1, "response": {"ms": 3}})
        message = refused("l.jsonl", content, kind="items", known=("item_id", "n"), columns={"n": "response.msec"})
        assert "the path 'response.msec' leads to nothing in any row" in message
        message = refused("l.jsonl", content, kind="items", known=("item_id", "n"), columns={"n": "respons.ms"})
        assert "column 'respons.ms' (asked for by data.items.columns.n) is not in the file" in message

    def test_a_source_that_is_not_there(self, refused):
        message = refused("s.csv", CSV, columns={"rater": "ratr"})
        assert "column 'ratr' (asked for by data.scores.columns.rater) is not in the file; did you mean" in message

    def test_wide_table(self, table):
        content = "item_id,model,ms,exact,note\nq1,old,120,1,x\nq2,old,,0,y\n"
        frame = table("w.csv", content, values={
            "ms": {"criterion": "latency", "rater": "clock", "rater_kind": "code"},
            "exact": {"criterion": "correct", "rater": "exact_match", "rater_kind": "code"}})
        assert frame["criterion"].tolist() == ["latency", "latency", "correct", "correct"]
        assert frame["rater"].tolist() == ["clock", "clock", "exact_match", "exact_match"]
        assert frame["value"].fillna(-1).tolist() == [120, -1, 1, 0]
        assert frame["_row"].tolist() == [2, 3, 2, 3]

    def test_wide_table_without_the_column(self, refused):
        message = refused("w.csv", "item_id,model,ms\nq1,old,1\n", values={
            "msec": {"criterion": "latency", "rater": "clock", "rater_kind": "code"}})
        assert "column 'msec' (asked for by data.scores.values) is not in the file; did you mean 'ms'?" in message


class TestWhere:
    def test_takes_the_rows_that_fulfil_all(self, table):
        assert len(table("s.csv", CSV, where={"rater": "anna"})) == 2
        assert len(table("s.csv", CSV, where={"rater": ["anna", "judge-x"]})) == 3
        assert len(table("s.csv", CSV, where={"rater": "anna", "model": "old"})) == 1
        assert table("s.csv", CSV, where={"value": 0.25})["_row"].tolist() == [4]
        assert table("s.csv", CSV, where={"value": "1"})["_row"].tolist() == [2]

    def test_by_truth_and_date(self, table):
        content = "item_id,ok,day\nq1,True,2026-01-01\nq2,false,2026-01-02\n"
        for where in ({"ok": True}, {"day": "2026-01-01"}):
            assert table("i.csv", content, kind="items", where=where)["item_id"].tolist() == ["q1"]

    def test_rows_keep_their_lines(self, refused):
        content = CSV.replace("q2,old", ",old")
        assert "column 'item_id', row 4: is empty" in refused("s.csv", content, where={"rater": "judge-x"})

    def test_a_value_that_no_row_has(self, refused):
        message = refused("s.csv", CSV, where={"rater": ["ana", "judge-x"]})
        assert "s.csv: data.scores.where.rater: no row has 'ana'; did you mean 'anna'?" in message
        assert "found 'anna', 'judge-x'" in message

    def test_values_that_no_row_has_together(self, refused):
        assert "data.scores.where leaves no row" in refused("s.csv", CSV, where={"rater": "judge-x", "model": "new"})

    def test_a_column_that_is_not_there(self, refused):
        assert "column 'ratr' (asked for by data.scores.where) is not in the file" in refused(
            "s.csv", CSV, where={"ratr": "anna"})


class TestReadScores:
    def test_tables_one_under_the_other(self, tmp_path):
        tmp_path.joinpath("s.csv").write_text(CSV)
        specs = [TableSpec(path="s.csv", where={"rater": "anna"}), TableSpec(path="s.csv", where={"model": "new"})]
        scores = read_scores(specs, tmp_path)
        assert scores["_table"].tolist() == [0, 0, 1]
        assert scores["_row"].tolist() == [2, 3, 3]
        assert scores.attrs["outside_where"] == 1

    def test_problems_of_all_tables_together(self, tmp_path):
        tmp_path.joinpath("a.csv").write_text(CSV.replace("model", "modle"))
        tmp_path.joinpath("b.csv").write_text("")
        with pytest.raises(InputError) as caught:
            read_scores([TableSpec(path=f"{name}.csv") for name in "abc"], tmp_path)
        lines = str(caught.value).splitlines()
        assert lines[0].startswith("a.csv: column 'modle'")
        assert lines[1].startswith("b.csv: is empty")
        assert lines[2].startswith("data.scores.2.path: 'c.csv': there is no such file")
