"""Seeds that nobody would read, or that would not work."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

from mmengine import Config, DictAction

from bad_inputs import BadInput
from rbdc_mm.protocol.launch import apply_options, train
from rbdc_mm.protocol.run import make_plan

PLAIN = "configs/tiny/deit_b_scratch_digits.py"
PROTOCOL = "configs/tiny/deit_b_rbdc_digits.py"


def _given(config: str, *options: str, **in_the_file) -> Callable[[Path], str]:
    """What is said about these ``--cfg-options``, on a config with these settings of its own."""

    def provoke(folder: Path) -> str:
        cfg = Config.fromfile(config)
        cfg.merge_from_dict(in_the_file)
        pairs = dict(option.split("=", 1) for option in options)
        given = {key: DictAction._parse_iterable(value) for key, value in pairs.items()}
        try:
            cfg = apply_options(cfg, config_path=config, work_dir=str(folder), cfg_options=given)
            with contextlib.redirect_stdout(io.StringIO()):
                make_plan(cfg) if "protocol" in cfg else train(cfg)
        except ValueError as error:
            return str(error)
        return "nothing"

    return provoke


_WHOLE = r"randomness\.seed={}: wanted a whole number from 0 to {}"
_BOTH = r"protocol\.seed={} and randomness\.seed={}: .*give one of the two"
CASES = [
    BadInput("a protocol with two seeds",
             _given(PROTOCOL, "protocol.seed=1", "randomness.seed=2"), _BOTH.format(1, 2)),
    BadInput("a protocol with two seeds, one of them 0",
             _given(PROTOCOL, "protocol.seed=1", "randomness.seed=0"), _BOTH.format(1, 0)),
    BadInput("another seed than the protocol's own config has",
             _given(PROTOCOL, "randomness.seed=2", **{"protocol.seed": 5}), _BOTH.format(5, 2)),
    BadInput("two seeds in a protocol's config",
             _given(PROTOCOL, **{"protocol.seed": 5, "randomness.seed": 6}), _BOTH.format(5, 6)),
    BadInput("a negative seed", _given(PLAIN, "randomness.seed=-1"),
             _WHOLE.format("-1", 4294967295)),
    BadInput("a negative seed of a protocol", _given(PROTOCOL, "randomness.seed=-1"),
             _WHOLE.format("-1", 4294966)),
    BadInput("half a seed", _given(PLAIN, "randomness.seed=1.5"), _WHOLE.format("1.5", "")),
    BadInput("half a seed of a protocol", _given(PROTOCOL, "protocol.seed=1.5"),
             r"protocol\.seed=1\.5: wanted a whole number"),
    BadInput("a word for a seed", _given(PLAIN, "randomness.seed=one"), _WHOLE.format("'one'", "")),
    BadInput("several seeds at once", _given(PROTOCOL, "randomness.seed=0,1,2"),
             _WHOLE.format(r"\[0, 1, 2\]", "")),
    BadInput("yes for a seed", _given(PROTOCOL, "randomness.seed=True"), _WHOLE.format("True", "")),
    BadInput("a seed too large for NumPy", _given(PLAIN, "randomness.seed=4294967296"),
             _WHOLE.format("4294967296", 4294967295)),
    BadInput("a seed too large for a protocol's stages", _given(PROTOCOL, "protocol.seed=4294967"),
             r"protocol\.seed=4294967: wanted a whole number from 0 to 4294966"),
    BadInput("a seed at the top level", _given(PLAIN, "seed=1"),
             r"seed=1 stands at the config's top level.*set randomness\.seed"),
    BadInput("a seed at the top level of a protocol", _given(PROTOCOL, "seed=1"),
             r"seed=1 stands at the config's top level.*set randomness\.seed"),
    BadInput("a protocol's seed for a config without one", _given(PLAIN, "protocol.seed=1"),
             r"protocol\.seed=1, but the config has no protocol: set randomness\.seed"),
    BadInput("a misspelt setting of randomness", _given(PROTOCOL, "randomness.sed=1"),
             r"randomness=.*'sed': 1.*wanted a dict of seed, deterministic, diff_rank_seed"),
    BadInput("a seed for the whole of randomness", _given(PLAIN, randomness=3),
             r"randomness=3: wanted a dict of seed"),
]  # fmt: skip
