"""``python -m rbdc_mm.ops status | install | uninstall``: mmcv's ops without a compiler."""

from __future__ import annotations

import argparse
import importlib
import sys

from rbdc_mm.ops.install import WITHOUT_OPS, check_torchvision, install, ops_state, uninstall


def status() -> str:
    """One line on whose ops are in use; an error where there are none that load."""
    state = ops_state()
    if state.folder is None:
        raise ValueError("mmcv is not installed in this Python")
    if state.kind == "none":
        raise ValueError(f"{state.folder} has no ops: python -m rbdc_mm.ops install")
    if state.kind == "torchvision":
        check_torchvision()
    else:
        try:
            importlib.import_module("mmcv.ops")
        except (ImportError, OSError, RuntimeError) as error:  # compiled for another torch, say
            raise ValueError(
                f"{state.file} does not load ({str(error).splitlines()[0]}): "
                f"{WITHOUT_OPS}, then python -m rbdc_mm.ops install"
            ) from error
    return f"mmcv's ops: {state} ({state.file})"


COMMANDS = {"status": status, "install": install, "uninstall": uninstall}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command."""
    parser = argparse.ArgumentParser(prog="python -m rbdc_mm.ops", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    try:
        print(COMMANDS[parser.parse_args(arguments).command]())
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
