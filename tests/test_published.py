"""The published rows: a file that is checked, and savings with the source model charged."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import pytest
import yaml

from rbdc_mm.report.published import COLUMNS, GROUPS, published_tables, read_published

PUBLISHED = Path(__file__).parents[1] / "results/published.csv"


@pytest.fixture(scope="module")
def rows():
    return read_published(PUBLISHED).set_index("id")


def write(path: Path, *changes: dict[str, str], drop: str = "") -> Path:
    """A file with one row per change of a good one."""
    good = dict.fromkeys(COLUMNS, "") | dict(
        id="a", group="growth", source="arXiv 1", where="Table 1", method="m", model="B",
        dataset="ImageNet", top1_percent="81.1", counts="target only",
        confidence="read at the source",
    )  # fmt: skip
    columns = [c for c in COLUMNS if c != drop]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(good | change for change in changes)
    return path


def test_committed_rows_say_whence_they_are(rows):
    assert set(rows["group"]) == set(GROUPS)
    assert not (rows[["source", "where", "counts", "confidence"]] == "").any(axis=None)
    # nothing inferred is typed: it is computed
    assert set(rows["confidence"]) == {"read at the source", "abstract or notes"}


def test_charging_the_source_model(rows):
    # 4.608 GMACs against 17.582, both 300 epochs: 26.2%
    charged = rows["flops_saved_with_source_percent"].dropna().round(1).to_dict()
    assert charged == {"ligo_t2_ligo": 29.2, "ligo_t2_bert2bert": 14.6, "ligo_t2_ki": -37.4}
    assert rows.loc["ligo_t2_ligo", "source_percent"] == pytest.approx(100 * 4.608 / 17.582)


def test_a_source_is_charged_once_and_only_where_it_is_known(tmp_path):
    models = [dict(id=m, group="baselines", model=m, gmacs=g) for m, g in (("S", "1"), ("B", "4"))]
    known = dict(source_model="S", source_epochs="150", epochs="300", flops_saved_percent="50")
    path = write(
        tmp_path / "p.csv",
        *models,
        known | dict(id="half"),
        known | dict(id="charged", counts="source models charged"),
        known | dict(id="unknown", counts="unknown"),
        known | dict(id="no_epochs", epochs=""),
        known | dict(id="no_gmacs", source_model="T"),
    )
    charged = read_published(path).set_index("id")["flops_saved_with_source_percent"].dropna()
    assert charged.to_dict() == {"half": 50 - 100 * 1 / 4 * 150 / 300}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([{}, dict(id="")], "line 3, column 'id': got '', wanted some text"),
        ([{}, {}], "line 3, column 'id': got 'a', wanted another one: .* line 2 has it"),
        ([dict(group="others")], "line 2, column 'group': got 'others', wanted one of 'growth'"),
        ([dict(counts="maybe")], "line 2, column 'counts': got 'maybe', wanted one of 'target"),
        ([dict(confidence="H")], "column 'confidence': got 'H'"),
        ([dict(top1_percent="81,1")], "column 'top1_percent': got '81,1', wanted a number or"),
        ([dict(top1_percent="811")], "column 'top1_percent': got '811', wanted a number from 0"),
        ([dict(speedup="inf")], "column 'speedup': got 'inf', wanted a number from 0"),
        ([dict(speedup="nan")], "column 'speedup': got 'nan', wanted a number from 0"),
        ([dict(top1_percent="")], "line 2: no result at all; wanted one of top1_percent"),
        ([dict(source_epochs="300")], "column 'source_epochs': got '300', wanted nothing"),
        ([dict(note="two\nlines"), dict(id="b", where="")], "line 4, column 'where'"),
        ([], "has no rows"),
    ],
)
def test_a_wrong_cell_is_named_with_line_and_column(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        read_published(write(tmp_path / "p.csv", *changes))


def test_wrong_files(tmp_path):
    with pytest.raises(ValueError, match=r"line 1: missing columns \['note'\], unknown \[\]"):
        read_published(write(tmp_path / "p.csv", {}, drop="note"))
    with pytest.raises(ValueError, match=r"cannot read .*nowhere\.csv"):
        read_published(tmp_path / "nowhere.csv")
    short = write(tmp_path / "p.csv", {})
    short.write_text(short.read_text() + "b,growth\n")
    with pytest.raises(ValueError, match="line 3: wanted 23 cells"):
        read_published(short)


def test_tables_show_every_row_and_name_its_source():
    frame = read_published(PUBLISHED)
    tables = {table.slug: table for table in published_tables(frame)}
    assert list(tables) == [f"published_{group}" for group in GROUPS]
    assert sum(len(table.rows) for table in tables.values()) == len(frame)
    growth = tables["published_growth"]
    ligo = next(dict(zip(growth.head, r, strict=True)) for r in growth.rows if r[0] == "LiGO")
    assert ligo["top-1 (%)"] == "81.71" and ligo["FLOPs saved, as published (%)"] == "55.4"
    assert ligo["FLOPs saved, source charged, inferred (%)"] == "29.2"
    assert ligo["source"] == "arXiv 2303.00980, Table 2" and ligo["FLOPs count"] == "target only"
    assert "300 epochs of DeiT-S cost 26.2% of 300 of DeiT-B" in growth.note
    mango = next(dict(zip(growth.head, r, strict=True)) for r in growth.rows if r[0] == "Mango")
    assert f"{mango['remark']} Points more than bert2BERT: +12.0; than LiGO: +20.7." in growth.note


def metafile(package: str, folder: str) -> dict[str, dict]:
    spec = importlib.util.find_spec(package)
    if spec is None:
        pytest.skip(f"{package} is not installed")
    path = Path(spec.origin).parent / ".mim/configs" / folder / "metafile.yml"
    return {model["Name"]: model for model in yaml.safe_load(path.read_text())["Models"]}


@pytest.mark.parametrize(
    ("row", "folder", "name"),
    [
        ("deit_ti", "deit", "deit-tiny_4xb256_in1k"),
        ("deit_s", "deit", "deit-small_4xb256_in1k"),
        ("deit_b", "deit", "deit-base_16xb64_in1k"),
        ("resnet_18", "resnet", "resnet18_8xb32_in1k"),
        ("resnet_50", "resnet", "resnet50_8xb32_in1k"),
        ("resnet_101", "resnet", "resnet101_8xb32_in1k"),
        ("resnet_50_rsb_a1", "resnet", "resnet50_8xb256-rsb-a1-600e_in1k"),
        ("resnet_50_rsb_a2", "resnet", "resnet50_8xb256-rsb-a2-300e_in1k"),
        ("resnet_50_rsb_a3", "resnet", "resnet50_8xb256-rsb-a3-100e_in1k"),
    ],
)
def test_baselines_are_mmpretrains(rows, row, folder, name):
    row, model = rows.loc[f"mmpretrain_{row}"], metafile("mmpretrain", folder)[name]
    assert row["top1_percent"] == model["Results"][0]["Metrics"]["Top 1 Accuracy"]
    assert row["params_m"] == round(model["Metadata"]["Parameters"] / 1e6, 2)
    assert row["gmacs"] == round(model["Metadata"]["FLOPs"] / 1e9, 3)  # which are MACs


@pytest.mark.parametrize(
    ("row", "folder", "name"),
    [
        ("mmdet_r50_fpn_1x", "mask_rcnn", "mask-rcnn_r50_fpn_1x_coco"),
        ("mmdet_r50_rsb_fpn_1x", "resnet_strikes_back", "mask-rcnn_r50_fpn_rsb-pretrain_1x_coco"),
    ],
)
def test_detectors_are_mmdets(rows, row, folder, name):
    results = metafile("mmdet", folder)[name]["Results"]
    metrics = {key: value for result in results for key, value in result["Metrics"].items()}
    found = rows.loc[row, ["box_ap_percent", "mask_ap_percent"]].tolist()
    assert found == [metrics["box AP"], metrics["mask AP"]]
