"""Shared fixtures: small data made once, and tiny configs that use it."""

from __future__ import annotations

import functools
import logging
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tests run beside each other

import mmengine.config.utils
import pytest
import torch

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True, scope="session")
def _quiet_and_comparable():
    logging.disable(logging.INFO)  # mmengine logs every initialised parameter
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _metafiles_are_read_once():
    """MMEngine reads a hundred YAML files for each base that a config takes from mmdet."""
    with pytest.MonkeyPatch.context() as patch:
        load = functools.cache(mmengine.config.utils.load)
        patch.setattr(mmengine.config.utils, "load", load)
        yield


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)  # configs are named from there


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Path:
    """The digits data set."""
    from rbdc_mm.data import make_digits

    root = tmp_path_factory.mktemp("data") / "digits"
    make_digits(root)
    return root


@pytest.fixture(scope="session")
def digit_scenes(tmp_path_factory) -> Path:
    """A few scenes."""
    from rbdc_mm.data import make_digit_scenes

    root = tmp_path_factory.mktemp("data") / "digit_scenes"
    make_digit_scenes(root, num_train=12, num_val=4)
    return root
