"""Addresses of configs that lead nowhere."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

from bad_inputs import BadInput
from rbdc_mm.__main__ import main
from rbdc_mm.config import read_config


def read(address: str, base: str | None = None) -> Callable[[Path], str]:
    """What reading that config says; with ``base``, of a file that takes it for its base."""

    def provoke(folder: Path) -> str:
        config = address
        if base is not None:
            (folder / address).write_text(f"_base_ = [{base!r}]\n")
            config = str(folder / address)
        try:
            read_config(config)
        except (ValueError, FileNotFoundError) as error:
            return str(error)
        raise AssertionError("it was read")

    return provoke


def ask(*args: str) -> Callable[[Path], str]:
    """What ``python -m rbdc_mm`` says when it fails."""

    def provoke(folder: Path) -> str:
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            assert main(list(args)) == 1
        return said.getvalue()

    return provoke


LIKE_IT = r"no config '.*/deit_b_rdbc_in1k.py'; did you mean rbdc/deit_b_rbdc_in1k.py.*-m rbdc_mm"

CASES = [
    BadInput("a config that is not there", read("nowhere.py"), r"nowhere.py does not exist \(from"),
    BadInput("an address with a slip", read("rbdc_mm::rbdc/deit_b_rdbc_in1k.py"), LIKE_IT),
    BadInput(
        "the same as a base", read("mine.py", base="rbdc_mm::rbdc/deit_b_rdbc_in1k.py"), LIKE_IT
    ),
    BadInput(
        "an address of an unknown package",
        read("mmpretrian::deit/deit-base_16xb64_in1k.py"),
        r"no package 'mmpretrian' .* wanted rbdc_mm::, mmpretrain::",
    ),
    BadInput("a path out of the configs", ask("configs", "../pyproject.toml"), "no config '../py"),
    BadInput("a tool that is not there", ask("tools", "trian"), "no tool 'trian'; did you mean tr"),
]
