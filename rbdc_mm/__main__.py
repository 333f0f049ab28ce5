"""Lists the configs and tools that come with the package, and says where one lies.

python -m rbdc_mm configs                              all configs
python -m rbdc_mm configs rbdc/deit_b_rbdc_in1k.py     the path of one, for any tool
python -m rbdc_mm tools train.py                       the path of a tool
"""

from __future__ import annotations

import argparse
import sys

from rbdc_mm.home import names, path_of


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m rbdc_mm",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=("configs", "tools"))
    parser.add_argument("name", nargs="?", help="one of them: folder and suffix may be left out")
    args = parser.parse_args(argv)
    if args.name is None:
        print(*names(args.kind), sep="\n")
        return 0
    try:
        print(path_of(args.kind, args.name))
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
