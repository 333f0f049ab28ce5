"""A plan in hours: by hand, within its bounds, and through the tool."""

from __future__ import annotations

import json
import math

import pytest

from conftest import ROOT
from helpers import load_tool
from rbdc_mm.config import read_config
from rbdc_mm.protocol import make_plan
from rbdc_mm.protocol.hours import Hours, Machine, hours_of
from rbdc_mm.records import RECORD
from rbdc_mm.report.hours import measured_rates
from whole_record import whole_record

TREE = "configs/rbdc/deit_b_rbdc_in1k.py"
CHAIN = "configs/com_pt/deit_b_compt_in1k.py"
TIMM = {"DeiT-Ti": 2290, "DeiT-S": 1052, "DeiT-B": 390.5}  # RTX 3090, mixed precision
DEIT3 = {m: 1281167 / s for m, s in (("DeiT-Ti", 43680), ("DeiT-S", 49555.2), ("DeiT-B", 71408))}


@pytest.fixture(scope="module")
def plans():
    return {config: make_plan(read_config(config)) for config in (TREE, CHAIN)}


def machine(num_gpus: int, rates=TIMM, **more) -> Machine:
    return Machine(num_gpus, rates, 1024, **{"least_batch": 64} | more)


def spent(stages) -> float:
    return sum(one.gpu_hours for one in stages)


def end(stages) -> float:
    return max(one.start + one.hours for one in stages)


@pytest.mark.parametrize("rates, ratio", [(TIMM, 0.937), (DEIT3, 1.869)])
def test_the_tree_by_public_throughputs(plans, rates, ratio):
    hours = hours_of(plans[TREE], machine(1, rates))
    assert spent(hours.one_by_one) / hours.scratch[1] == pytest.approx(ratio, abs=5e-4)
    images = 300 * 1281167
    assert hours.scratch == pytest.approx((images / rates["DeiT-B"] / 3600,) * 2)


def test_utilisation_is_flops_a_second(plans):
    hours = hours_of(plans[TREE], machine(8))
    used = {one.stage.arch.label(): round(one.utilisation, 2) for one in hours.parallel}
    assert used == {"DeiT-Ti": 0.42, "DeiT-S": 0.70, "DeiT-B": 1.0}


def _in_use(hours: Hours) -> int:
    """The most GPUs that are busy at once."""
    starts = [one.start for one in hours.parallel]
    return max(
        sum(o.num_gpus for o in hours.parallel if o.start <= t < o.start + o.hours - 1e-9)
        for t in starts
    )


@pytest.mark.parametrize("config", [TREE, CHAIN])
@pytest.mark.parametrize("num_gpus", [1, 2, 3, 8, 32, 100])
def test_no_schedule_is_better_than_it_can_be(plans, config, num_gpus):
    plan, there = plans[config], machine(num_gpus, overhead_s=60)
    hours = hours_of(plan, there)
    assert [one.stage.name for one in hours.parallel] == [stage.name for stage in plan.stages]
    assert _in_use(hours) <= num_gpus
    ends = {one.stage.name: one.start + one.hours for one in hours.parallel}
    for one in hours.parallel:
        assert one.num_gpus <= there.most
        needed = [ends[name] for name in one.stage.needs]
        assert one.start >= max(needed, default=0) - 1e-9, one.stage.name
    work = spent(hours.parallel) / num_gpus
    longest = max(one.hours for one in hours.one_by_one)
    assert end(hours.parallel) >= max(work, longest) - 1e-9
    assert end(hours.one_by_one) == pytest.approx(sum(one.hours for one in hours.one_by_one))


def test_parallel_leaves_pay_beyond_the_batch_cap(plans):
    """Up to it they save nothing, since every stage can use all GPUs."""
    for num_gpus, pays in ((8, False), (16, False), (64, True)):
        hours = hours_of(plans[TREE], machine(num_gpus, gpus_per_node=num_gpus))
        gain = end(hours.one_by_one) / end(hours.parallel)
        assert (gain > 1.2) is pays, (num_gpus, gain)


def test_scaling_loss_and_overhead(plans):
    assert machine(8).efficiency(8) == 1
    assert machine(64).efficiency(32) == pytest.approx(0.98**2)
    plain, slow = (hours_of(plans[CHAIN], machine(1, overhead_s=s)) for s in (0, 3600))
    assert end(slow.parallel) - end(plain.parallel) == pytest.approx(3)


def test_teachers_take_time(plans):
    hours = {o.stage.name: o for o in hours_of(plans[CHAIN], machine(1)).one_by_one}
    stage = hours["target"].stage
    images = stage.epochs * stage.num_samples
    wanted = (images / 390.5 + images / (3 * 1052)) / 3600
    assert hours["target"].hours == pytest.approx(wanted)


def test_what_is_not_known_is_asked_for(plans):
    with pytest.raises(ValueError, match=r"no throughput of DeiT-Ti, DeiT-S: give --throughput"):
        hours_of(plans[TREE], machine(8, {"DeiT-B": 390.5}))
    with pytest.raises(ValueError, match="images/s above 0"):
        machine(8, {"DeiT-B": 0})
    with pytest.raises(ValueError, match="num_gpus=0: wanted at least 1"):
        machine(0)


def write(root, name, **more) -> None:
    path = root / name / RECORD
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(whole_record() | more))


def test_throughput_of_earlier_runs(tmp_path):
    seen = whole_record()["ledger"]
    images = seen["entries"]["run-id"]["num_samples_seen"]
    write(tmp_path, "a", architecture="DeiT-Ti", gpu_hours=0.5)
    write(tmp_path, "b", architecture="DeiT-Ti", gpu_hours=1.5)
    write(tmp_path, "unfinished", architecture="DeiT-S", finished=False)
    assert measured_rates([tmp_path]) == {"DeiT-Ti": pytest.approx(images / 3600)}
    write(tmp_path, "c", architecture="DeiT-B", gpu_hours=0.0, core_hours=2.0, device="B")
    assert math.isclose(measured_rates([tmp_path / "c"])["DeiT-B"], images / 7200)
    with pytest.raises(ValueError, match=r"one kind of machine, got \['B', 'CPU'\]"):
        measured_rates([tmp_path])
    with pytest.raises(ValueError, match="got none"):
        measured_rates([tmp_path / "unfinished"])


def test_the_tool(tmp_path, capsys):
    main = load_tool("plan").main
    given = [f"{model}={rate}" for model, rate in TIMM.items()]
    assert main([str(ROOT / TREE), "--gpus", "8", "--throughput", *given]) == 0
    out = capsys.readouterr().out
    assert "0.937 of scratch's" in out and "at most 8 GPUs a stage" in out
    assert main([str(ROOT / TREE), "--throughput", *given]) == 1
    assert "go with --gpus N" in capsys.readouterr().err
    assert main([str(ROOT / TREE), "--gpus", "8", "--throughput", "DeiT-B"]) == 1
    assert "'DeiT-B': wanted MODEL=IMAGES_PER_S" in capsys.readouterr().err
    assert main([str(ROOT / TREE), "--gpus", "8", "--records", str(tmp_path)]) == 1
    assert "no run.json under" in capsys.readouterr().err
