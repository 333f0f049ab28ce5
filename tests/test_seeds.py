"""A seed reaches every stage of a protocol, wherever it is given."""

from __future__ import annotations

import copy
import json

import pytest
from mmengine import Config

from rbdc_mm.protocol.launch import apply_options
from rbdc_mm.protocol.run import make_plan, prepare

RBDC = "configs/tiny/deit_b_rbdc_digits.py"
CHAIN = "configs/tiny/deit_b_compt_digits.py"


def seeds(config: str, in_the_file: dict | None = None, **options) -> list[int]:
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(in_the_file or {})
    cfg = apply_options(cfg, config_path=config, cfg_options=options)
    stages = prepare(cfg, make_plan(cfg))
    found = [one.cfg.randomness.seed for one in stages]
    assert found == [one.stage.seed for one in stages]
    return found


@pytest.mark.parametrize("config", [RBDC, CHAIN])
def test_a_protocol_takes_its_seed_from_either_place(config):
    default = seeds(config)
    assert default == list(range(len(default)))
    wanted = [3000 + n for n in default]
    assert seeds(config, **{"randomness.seed": 3}) == wanted
    assert seeds(config, **{"protocol.seed": 3}) == wanted
    assert seeds(config, **{"protocol.seed": 3, "randomness.seed": 3}) == wanted
    assert seeds(config, {"randomness.seed": 3}) == wanted  # in a config of one's own
    assert seeds(config, {"protocol.seed": 3}) == wanted
    assert seeds(config, {"randomness.seed": 3}, **{"randomness.seed": 0}) == default
    assert seeds(config, **{"randomness.seed": None}) == default


def test_the_rest_of_randomness_reaches_every_stage():
    cfg = Config.fromfile(RBDC)
    given = {"randomness.deterministic": True, "randomness.diff_rank_seed": True}
    cfg = apply_options(cfg, config_path=RBDC, cfg_options=given)
    for one in prepare(cfg, make_plan(cfg)):
        assert one.cfg.randomness.deterministic and one.cfg.randomness.diff_rank_seed


def test_the_stock_runner_takes_it_too():
    """mmpretrain's own tool merges options and builds the runner, no more."""
    cfg = Config.fromfile(RBDC)
    cfg.merge_from_dict({"randomness.seed": 2})
    assert make_plan(cfg).stages[0].seed == 2000
    before = copy.deepcopy(cfg.to_dict())
    make_plan(cfg)
    assert json.dumps(cfg.to_dict(), default=str) == json.dumps(before, default=str)
