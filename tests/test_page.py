"""The page, as a reader uses it: in a browser, with the pointer, by keyboard and on a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from browser import Visit, chromium, visit
from made_runs import many, study
from rbdc_mm.report.arms import arms_of
from rbdc_mm.report.collect import collect
from rbdc_mm.report.page import write_page
from rbdc_mm.report.page.payload import looks, payload
from rbdc_mm.report.published import read_published
from rbdc_mm.report.runs import Runs
from rbdc_mm.report.words import METHODS

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "results" / "published.csv"
ARMS = "#classification-table"
PLOT = "#accuracy-plot"


def written(runs: Runs, out: Path, **more) -> Path:
    return write_page(runs, arms_of(runs.rows), out, **more)


@pytest.fixture(scope="module")
def study_page(tmp_path_factory) -> Path:
    published = read_published(PUBLISHED)
    return written(study(), tmp_path_factory.mktemp("study"), published=published)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def visited(browser, study_page) -> Visit:
    return visit(browser, study_page)


@pytest.fixture
def page(visited) -> Iterator[Page]:
    """The study's page, loaded once: who alters a filter or a plot puts it back.

    Whatever a test does there may not make it complain.
    """
    yield visited.page
    visited.page.keyboard.press("Escape")  # closes what a test opened
    assert visited.said == []


def column(page: Page, table: str, head: str) -> list[str]:
    """The cells under a head, as shown."""
    heads = page.locator(f"{table} thead tr:first-child th").all_inner_texts()
    n = [words.strip() for words in heads].index(head) + 1
    return page.locator(f"{table} tbody tr td:nth-child({n})").all_inner_texts()


def sort_by(page: Page, table: str, head: str) -> None:
    """Clicks on a column's head and waits for the order, which the table makes a moment later."""
    cell = page.locator(f"{table} thead tr:first-child th", has_text=head).first
    before = cell.get_attribute("aria-sort")
    cell.click()
    expect(cell).to_have_attribute(
        "aria-sort", "descending" if before == "ascending" else "ascending"
    )


def numbers(cells: list[str]) -> list[float]:
    return [float(cell.removeprefix("≥ ").split(" ")[0]) for cell in cells]


# Without a browser


class Links(HTMLParser):
    """Everything a document would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href", "srcset")]


def test_same_runs_give_the_same_bytes_and_fetch_nothing(study_page, tmp_path):
    text = study_page.read_text(encoding="utf-8")
    again = written(study(), tmp_path, published=read_published(PUBLISHED))
    assert again == tmp_path / "index.html" and again.read_text(encoding="utf-8") == text
    links = Links()
    links.feed(text)
    assert links.found and all(link.startswith(("#", "data:")) for link in links.found)
    assert "default-src 'none'" in text and "connect-src" not in text


def test_payload_is_plain_json_and_keeps_ten_digits():
    runs = study()
    runs.rows.loc[0, "total_pflops"] = 1.23456789012345e-7
    made = json.loads(json.dumps(payload(runs, arms_of(runs.rows), "scratch"), allow_nan=False))
    assert made["runs"]["total_pflops"][0] == 1.23456789e-7
    assert made["runs"]["top1"][list(runs.rows["run_id"]).index("broken")] is None
    behind = [run for ids in made["arms"]["runs"] for run in ids]
    targets = runs.rows[runs.rows["role"].isin(["run", "target"]) & (runs.rows["left_out"] == "")]
    assert sorted(behind) == sorted(targets["run_id"])  # each stands behind one arm


def test_arms_of_one_plot_are_told_apart_by_their_names():
    runs = study()
    arms = payload(runs, arms_of(runs.rows), "scratch")["arms"]
    names = list(zip(arms["panel"], arms["label"], strict=True))
    assert len(set(names)) == len(names)
    assert {"RBDC", "scratch, 300 epochs"} <= set(arms["label"])  # no longer than need be


def test_it_opens_on_the_plot_of_most_methods(browser, tmp_path):
    runs = collect([ROOT / "results/tiny_cpu/classifiers"])
    opened = visit(browser, written(runs, tmp_path))
    for section in ("accuracy", "curves"):
        lists = opened.page.locator(f"#{section}-controls select")
        assert "ViT 64x4" in lists.first.evaluate("list => list.selectedOptions[0].text")
    assert "hours of (c)" not in opened.page.locator("#accuracy-controls").inner_text()
    assert opened.said == []
    opened.page.close()


def test_hours_are_one_of_the_costs(browser, tmp_path):
    runs = collect([ROOT / "results/tiny_cpu/classifiers"])
    timed = replace(runs, rows=runs.rows.assign(total_hours=0.25, hours_on="CPU"))
    page = visit(browser, written(timed, tmp_path)).page
    page.get_by_label("hours of (c)").check()
    expect(page.locator(PLOT)).to_contain_text("core-hours on a CPU")
    assert set(column(page, ARMS, "hours in all")) == {"0.250"}
    page.close()


def test_no_two_methods_look_alike():
    made = looks([*METHODS, "mine", "yours"])
    pairs = {(look["colour"], look["symbol"]) for look in made.values()}
    assert len(pairs) == len(METHODS) + 2


def test_runs_that_are_all_left_out_still_make_a_page(tmp_path):
    runs = study()
    rows = runs.rows[runs.rows["run_id"] == "broken"].reset_index(drop=True)
    alone = Runs(rows, runs.curves.iloc[:0], runs.stages.iloc[:0], runs.unfinished)
    assert "1 left out of all means" in written(alone, tmp_path).read_text(encoding="utf-8")


def test_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot write"):
        written(many(2), tmp_path / "file")


# In a browser


def test_nothing_is_fetched_and_nothing_complains(visited, study_page, page):
    assert visited.requests[0] == study_page.as_uri()
    assert all(url.startswith(("file:", "blob:", "data:")) for url in visited.requests)
    assert {url for url in visited.requests if url.startswith("file:")} == {study_page.as_uri()}
    # nor offers a button that would upload something
    buttons = page.locator(f"{PLOT} .modebar-btn").evaluate_all("(x) => x.map((b) => b.ariaLabel)")
    assert buttons == ["Download plot", "Zoom", "Pan", "Reset axes"]


def test_plots_list_their_own_methods_alone(page):
    labels = page.locator("#downstream .legend label:visible")
    methods = labels.evaluate_all("(x) => x.map((label) => label.dataset.method)")
    assert methods == ["scratch", "rbdc", "random"]
    assert "random init" not in page.locator("#curves .legend").inner_text()


def test_names_from_runs_are_text_never_markup(page):
    page.locator("#left-out summary").click()
    assert "accuracy/top1 of its last evaluation is nan" in page.locator("#left-out").inner_text()
    page.locator("#all-runs input[type=search]").first.fill("broken")
    page.locator("#runs-table tbody tr").first.click()
    shown = page.locator("dialog").inner_text()
    assert "<script>document.title='run'</script>.py" in shown and "Left out of all means" in shown
    assert page.title() == "Accuracy against training FLOPs"


def test_tables_sort_by_number(page):
    head = "(c) total (PFLOPs)"
    sort_by(page, ARMS, "(c) total")
    rising = numbers(column(page, ARMS, head))
    assert rising == sorted(rising) and rising[0] == 700.0 and rising[-1] == 10000.0
    sort_by(page, ARMS, "(c) total")
    assert numbers(column(page, ARMS, head)) == rising[::-1]
    assert any(cell.startswith("≥ ") for cell in column(page, ARMS, head))


def test_tables_filter_by_column_and_by_any_word(page):
    filters = page.locator(f"{ARMS} thead tr:nth-child(2) input")
    filters.nth(0).fill("rbdc")
    expect(page.locator(f"{ARMS} tbody tr")).to_have_count(2)
    assert column(page, ARMS, "method") == ["■RBDC"] * 2
    page.locator("#accuracy input[type=search]").fill("deit-tiny")
    expect(page.locator(f"{ARMS} tbody tr")).to_have_count(1)
    filters.nth(0).fill("nothing of that name")
    expect(page.locator(f"{ARMS} tbody")).to_contain_text("No row fits the filters.")
    filters.nth(0).fill("")
    page.locator("#accuracy input[type=search]").fill("")
    expect(page.locator(f"{ARMS} tbody tr")).to_have_count(14)


def test_pointing_at_a_mark_tells_its_numbers_and_a_click_its_runs(page):
    rbdc = page.locator("#accuracy").get_by_role("checkbox", name="RBDC")
    rbdc.uncheck()
    rbdc.check()  # redrawn, the pointer still works
    page.locator(PLOT).scroll_into_view_if_needed()
    place = page.evaluate(
        """() => {
            const div = document.getElementById("accuracy-plot");
            const isArm = (t) => t.customdata?.[0][0] === "arm" && t.text[0].includes("RBDC");
            const n = div.data.findIndex(isArm);
            const { xaxis, yaxis } = div._fullLayout, box = div.getBoundingClientRect();
            return [box.x + xaxis._offset + xaxis.l2p(Math.log10(div.data[n].x[0])),
                    box.y + yaxis._offset + yaxis.l2p(div.data[n].y[0])];
        }"""
    )
    page.mouse.move(place[0] - 30, place[1] - 30)
    page.mouse.move(*place)
    told = page.locator(f"{PLOT} .hovertext").first
    for words in ("RBDC", "±", "n = 3", "own (a) 1400", "teachers (b) 1400",
                  "total (c) 1820 PFLOPs", "deit-tiny_rbdc.py"):  # fmt: skip
        expect(told).to_contain_text(words)
    page.mouse.click(*place)
    expect(page.locator("#details-head")).to_have_text("RBDC: ImageNet, deit-tiny")


def test_choices_redraw_the_plot(page):
    def title() -> str:
        return page.locator(f"{PLOT} .xtitle").text_content()

    def traces() -> list[list[float]]:
        return page.evaluate("document.getElementById('accuracy-plot').data.map((t) => t.x)")

    section = page.locator("#accuracy")
    assert "(c) total (PFLOPs)" in title()
    section.get_by_role("radio", name="(a) own").check()
    assert "(a) own (PFLOPs)" in title()
    everything = traces()
    seeds = section.get_by_role("checkbox", name="single seeds")
    seeds.uncheck()
    assert len(traces()) == len(everything) - 5  # one per method
    scratch = section.get_by_role("checkbox", name="scratch")
    scratch.uncheck()
    assert len(traces()) == len(everything) - 7  # its marks and its line
    section.locator("select").first.select_option(index=1)
    assert max(max(x) for x in traces()) == 5500  # of the larger model
    section.locator("select").first.select_option(index=0)
    scratch.check()
    seeds.check()
    assert traces() == everything
    section.get_by_role("radio", name="(c) total").check()


def test_every_number_leads_to_where_it_comes_from(page):
    row = page.locator(f"{ARMS} tbody tr", has_text="deit-small_com_pt.py")
    row.locator("td").nth(4).click()
    details = page.locator("dialog")
    expect(details).to_contain_text("The 3 runs behind it")
    details.get_by_role("button", name="com_pt-deit-small-seed1").click()
    for words in ("0f3a", "0123456789abcdef, clean", "torch 2.11, mmengine 0.10", "8 x made-up GPU",
                  "work_dirs/com_pt-deit-small-seed1/run.json", "GPU-hours", "20.5 GiB", "kWh",
                  "com_pt-deit-small-seed1-leaf-0"):  # fmt: skip
        expect(details).to_contain_text(words)
    page.get_by_role("button", name="back").click()
    expect(details).to_contain_text("The 3 runs behind it")
    page.get_by_role("button", name="Close").click()
    expect(details).to_be_hidden()


def test_tree_gives_each_stage_its_share(page):
    page.locator("#shares select").select_option(
        label="CoM-PT, ImageNet, deit-small, seed 0, 200 epochs"
    )
    amounts = page.locator("#shares-tree .amount").all_inner_texts()
    shares = [float(amount.split(" %")[0]) for amount in amounts if "%" in amount]
    assert shares == pytest.approx([78.9, 10.5, 10.5]) and "teachers 500.0" in amounts[0]
    page.locator("#shares select").select_option(
        label="Net2Net, ImageNet, deit-small, seed 0, 300 epochs"
    )
    expect(page.locator("#shares-tree")).to_contain_text("Total (c): ≥ 4500 PFLOPs")
    expect(page.locator("#shares-tree")).to_contain_text("unknown: the total is a lower bound")


def test_curves_against_epochs_and_flops(page):
    curves = page.locator("#curves")
    xs = "document.getElementById('curves-plot').data.map((t) => Math.max(...t.x))"
    assert max(page.evaluate(xs)) == 300
    curves.get_by_role("radio", name="total FLOPs").check()
    assert max(page.evaluate(xs)) == 2800
    expect(page.locator("#curves-plot .xtitle")).to_contain_text("source models included (PFLOPs)")


def test_downstream_by_pretraining_and_by_total(page):
    section = page.locator("#downstream")
    shapes = "document.getElementById('downstream-plot').layout.shapes.length"
    assert page.evaluate(shapes) == 0
    section.get_by_role("radio", name="pretraining alone").check()
    assert page.evaluate(shapes) == 1  # what paid nothing has no place on a log axis
    expect(page.locator("#downstream-plot")).to_contain_text("random init: no pretraining")
    section.get_by_label("Metric").select_option("segm_mAP")
    expect(page.locator("#downstream-plot .ytitle")).to_have_text("mask AP (%)")


def test_published_rows_say_what_was_inferred(page):
    row = page.locator("#published tr", has_text="LiGO")
    expect(row).to_contain_text("29.2")
    expect(page.locator("#published thead").first).to_contain_text("inferred")


def test_all_of_it_by_keyboard(page):
    button = page.locator(f"{ARMS} tbody button").first
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()
    expect(button).to_be_focused()

    summary = page.locator("#shares-tree summary").first
    summary.focus()
    page.keyboard.press("Space")
    assert page.locator("#shares-tree details").first.get_attribute("open") is None

    page.locator(ARMS).get_by_role("button", name="config: Activate to sort").focus()
    page.keyboard.press("Enter")
    assert column(page, ARMS, "config") == sorted(column(page, ARMS, "config"))
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


def test_phone_scrolls_tables_not_the_page(browser, study_page):
    width = 380
    opened = visit(browser, study_page, width=width, height=760)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    box = f"document.querySelector('{ARMS}').closest('.dt-layout-cell')"
    assert opened.page.evaluate(f"{box}.scrollWidth > {box}.clientWidth")
    opened.page.locator(f"{ARMS} tbody button").first.click()
    inside = opened.page.locator("dialog").bounding_box()
    assert inside["x"] >= 0 and inside["x"] + inside["width"] <= width
    assert opened.said == []
    opened.page.close()


def test_a_thousand_runs_draw_a_page_of_rows_at_a_time(browser, tmp_path):
    opened = visit(browser, written(many(1000), tmp_path))
    page, rows = opened.page, opened.page.locator("#runs-table tbody tr")
    expect(rows).to_have_count(25)
    expect(page.locator("#all-runs")).to_contain_text("1 to 25 of 1,000")
    sort_by(page, "#runs-table", "(c) total")
    sort_by(page, "#runs-table", "(c) total")
    assert numbers(column(page, "#runs-table", "(c) total (PFLOPs)"))[0] == 500
    page.locator("#all-runs input[type=search]").first.fill("run-05")
    expect(page.locator("#all-runs")).to_contain_text("1 to 25 of 100")
    expect(rows).to_have_count(25)
    # however many runs there are, the document stays small
    assert page.evaluate("document.querySelectorAll('tr').length") < 150
    assert opened.said == []
    page.close()
