"""The ledger: sums, sharing, resuming, and not pretending to know what it does not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rbdc_mm.cost import CONVENTION, COUNTER_VERSION, Ledger, format_flops


def trained(run_id, parents=(), *, iters=3, flops=100, teacher=0, operator=0, name=None):
    ledger = Ledger.new(run_id, name or f"model {run_id}", parents)
    for _ in range(iters):
        ledger.add_iteration(8, flops, teacher)
    ledger.add_operator(operator)
    return ledger


def test_one_run_charges_the_global_batch():
    ledger = trained("a", iters=5, flops=100, teacher=7, operator=11)
    ledger.add_eval(50, 33)
    assert ledger.target_only == 5 * 8 * 100
    assert ledger.with_teachers == ledger.target_only + 5 * 8 * 7 + 11
    assert ledger.total == ledger.with_teachers
    own = ledger.own
    assert (own.num_iters, own.num_samples_seen, own.eval_flops) == (5, 40, 50 * 33)
    assert not ledger.is_lower_bound


def test_a_tree_sums_its_children():
    leaves = [trained(f"leaf{i}", flops=10 + i, operator=i) for i in range(4)]
    inner = [trained(f"inner{i}", leaves[2 * i : 2 * i + 2], flops=50, teacher=3) for i in (0, 1)]
    root = trained("root", inner, flops=400, teacher=20, operator=5)
    assert root.total == root.with_teachers + sum(m.with_teachers for m in (*leaves, *inner))
    assert root.total == root.with_teachers + sum(m.total for m in inner)
    assert root.target_only == 3 * 8 * 400
    assert root.own.parents == ("inner0", "inner1")
    assert root.summary()["num_ancestors"] == 6
    assert root.summary()["total_pflops"] == root.total / 1e15


def test_a_shared_parent_is_counted_once_at_any_depth():
    shared = trained("shared", flops=1000)
    left, right = trained("left", [shared]), trained("right", [shared])
    root = trained("root", [left, right, shared, left])
    runs = (root, left, right, shared)
    assert root.total == sum(run.with_teachers for run in runs)
    assert root.own.parents == ("left", "right", "shared")


def test_evaluation_is_in_no_total_at_any_level():
    parent, child = trained("p"), None
    parent.add_eval(1000, 10**9)
    child = trained("c", [parent])
    child.add_eval(1000, 10**9)
    assert child.total == trained("c", [trained("p")]).total
    assert child.summary()["eval_pflops"] == pytest.approx(1e12 / 1e15)


def test_parents_are_copied_at_growth():
    parent = trained("p")
    child = Ledger.new("c", "child", [parent])
    before = child.total
    parent.add_iteration(8, 100)
    assert child.total == before


def test_round_trip_through_json_is_exact():
    big = trained("big", flops=10**17 + 1)  # beyond what a float could hold
    root = trained("root", [big, Ledger.unknown("x", "timm weights")], operator=3)
    again = Ledger.from_dict(json.loads(json.dumps(root.to_dict())))
    assert again == root and again.total == root.total
    assert again.own == root.own and again.unknown_parents == ("x",)
    assert again.counter_version == COUNTER_VERSION


def test_resumed_equals_uninterrupted():
    parents = [trained("p")]
    straight = trained("c", parents, iters=10, teacher=2, operator=9)
    first = trained("c", parents, iters=4, teacher=2, operator=9)
    resumed = Ledger.from_dict(first.to_dict())
    for _ in range(6):
        resumed.add_iteration(8, 100, 2)
    assert resumed == straight and resumed != first


def test_two_states_of_one_run_meet_and_the_later_one_counts():
    early, late = trained("p", iters=2), trained("p", iters=9)
    a, b = trained("a", [early]), trained("b", [late])
    for order in ([a, b], [b, a]):
        root = trained("root", order)
        assert root.entries["p"] == late.own
        assert root.total == sum(r.with_teachers for r in (root, a, b, late))


@pytest.mark.parametrize(
    "change",
    [
        dict(name="other"),
        dict(kind="operator"),
        dict(num_iters=5),
        dict(parents=("q",)),
        dict(counter_version="0"),
    ],
)
def test_two_runs_with_one_id_are_an_error(change):
    one, two = trained("p", iters=4), trained("p", iters=3)
    two.entries["p"] = replace(two.own, **change)
    with pytest.raises(ValueError, match="two different runs have the id 'p'"):
        Ledger.new("root", "root", [one, two])


def test_a_run_cannot_descend_from_itself():
    grandparent = trained("a")
    parent = trained("b", [grandparent])
    with pytest.raises(ValueError, match=r"'a' cannot descend from itself.*resume"):
        Ledger.new("a", "again", [parent])


def test_an_unknown_parent_makes_the_total_a_lower_bound_never_silently_zero():
    known, unknown = trained("k"), Ledger.unknown("sha:12", "downloaded.pth")
    middle = trained("m", [known, unknown])
    root = trained("root", [middle])
    assert root.total == root.with_teachers + middle.with_teachers + known.with_teachers
    assert root.unknown_parents == ("sha:12",) and root.is_lower_bound
    summary = root.summary()
    assert summary["total_is_lower_bound"] is True
    assert summary["unknown_parents"] == ["downloaded.pth"]
    assert ">= " in repr(root)
    assert root.entries["sha:12"].train_flops is None
    with pytest.raises(ValueError, match="unknown cost"):
        unknown.add_iteration(8, 100)


def test_what_somebody_recorded_beats_unknown():
    unknown, known = Ledger.unknown("p", "somewhere"), trained("p")
    for order in ([unknown, known], [known, unknown]):
        root = trained("root", order)
        assert not root.is_lower_bound and root.entries["p"] == known.own


def test_another_convention_can_be_read_but_not_summed():
    data = trained("p").to_dict() | dict(convention="MACs, forward only")
    other = Ledger.from_dict(data)
    assert other.to_dict() == data
    with pytest.raises(ValueError, match=r"'p' was counted by another convention, 'MACs, forward"):
        Ledger.new("c", "child", [trained("q"), other])
    assert trained("q").convention == CONVENTION


def schema_1() -> dict:
    """A target that was grown by learned maps and distilled: a ledger as version 1 wrote it."""
    return json.loads((Path(__file__).parent / "ledger_schema_1.json").read_text())


def test_a_ledger_of_the_first_schema_keeps_its_totals():
    ledger = Ledger.from_dict(schema_1())
    assert {entry.kind for entry in ledger.entries.values()} == {"train", "operator", "grow"}
    assert ledger.entries["operator-1"].kind == "operator" and ledger.own.kind == "train"
    totals = ledger.target_only, ledger.with_teachers, ledger.total
    assert totals == (439640064, 696234240, 765962496)  # as version 1 gave them
    written = ledger.to_dict()
    assert written["schema"] == 3 and Ledger.from_dict(written) == ledger


def test_a_ledger_of_the_first_schema_goes_on_and_knows_what_is_unknown():
    data = schema_1()
    data["entries"]["source-0"]["train_flops"] = None
    old = Ledger.from_dict(data)
    assert old.unknown_parents == ("source-0",) and old.is_lower_bound
    child = trained("child", [old])
    assert child.total == old.total + child.with_teachers
    data["entries"]["source-0"]["kind"] = "train"
    with pytest.raises(ValueError, match=r"unknown keys \['kind'\]"):
        Ledger.from_dict(data)


def _without(key):
    return lambda d: d.pop(key)


def _entry(key, value):
    return lambda d: d["entries"]["c"].__setitem__(key, value)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without("convention"), r"file\.pth: missing keys \['convention'\]"),
        (lambda d: d.update(extra=1), r"unknown keys \['extra'\]"),
        (lambda d: d.update(schema=99), "schema is 99, this version reads 1 to 3"),
        (lambda d: d.update(run_id="z"), "no entry of its own run 'z'"),
        (lambda d: d.update(entries=[]), "entries must be a dict"),
        (lambda d: d["entries"].pop("p"), r"parents \['p'\] are named but have no entry"),
        (lambda d: d["entries"]["c"].pop("num_iters"), r"entry 'c': missing keys \['num_iters'\]"),
        (_entry("train_flops", 1.5), "train_flops must be a whole number, at least 0, got 1.5"),
        (_entry("num_iters", -1), "num_iters must be a whole number, at least 0, got -1"),
        (_entry("eval_flops", None), "eval_flops must be a whole number"),
        (_entry("run_id", "d"), "its run_id is 'd'"),
        (_entry("kind", "growth"), "kind must be one of .*'grow'.*, got 'growth'"),
        (_entry("kind", "unknown"), "train_flops is 2400 and kind is 'unknown'"),
        (_entry("train_flops", None), "train_flops is None and kind is 'train'"),
        (lambda d: d["entries"].update(c=3), "wanted a dict with"),
    ],
)
def test_spoiled_ledgers_are_refused_by_name(spoil, message):
    data = trained("c", [trained("p")]).to_dict()
    spoil(data)
    with pytest.raises(ValueError, match=message):
        Ledger.from_dict(data, where="file.pth")


@pytest.mark.parametrize("bad", [-1, 1.0, "3", True, None])
def test_amounts_are_whole_numbers(bad):
    ledger = Ledger.new("a", "a")
    with pytest.raises(ValueError, match="global_batch must be a whole number"):
        ledger.add_iteration(bad, 100)
    with pytest.raises(ValueError, match="flops must be a whole number"):
        ledger.add_operator(bad)
    assert ledger.total == 0


def test_format_flops():
    assert format_flops(0) == "0 FLOPs"
    assert format_flops(999) == "999 FLOPs"
    assert format_flops(1.234e15) == "1.234 PFLOPs"
    assert format_flops(999_999_999) == "1.000 GFLOPs"
    assert format_flops(40_415 * 10**15) == "40.415 EFLOPs"
    assert format_flops(5 * 10**9, lower_bound=True) == ">= 5.000 GFLOPs"
