"""Where the suite's configs and tools lie: in a checkout, or in the package that a wheel installed.

mim and mmengine look into a package's ``.mim`` for them. In a checkout its entries are links to the
checkout's own folders, in a wheel they are those folders.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

PACKAGE = "rbdc_mm"
MIM = Path(__file__).resolve().parent / ".mim"
#: holds ``configs`` and ``tools``: the checkout, or ``.mim`` itself
ROOT = (MIM / "configs").resolve().parent


def _files(kind: str) -> list[str]:
    folder = ROOT / kind
    found = [path for path in folder.rglob("*") if path.suffix in (".py", ".sh")]
    return sorted(path.relative_to(folder).as_posix() for path in found)


def names(kind: str) -> list[str]:
    """All ``'configs'`` or ``'tools'``, as paths below the folder of that name.

    Not those of ``_base_``: they are parts of others.
    """
    return [name for name in _files(kind) if not name.startswith("_base_/")]


def path_of(kind: str, name: str) -> Path:
    """The file of a config or a tool, such as ``path_of('configs', 'rbdc/deit_b_rbdc_in1k.py')``.

    Folder and suffix may be left out where that leaves one only; ``rbdc_mm::`` may stand before it.

    Raises:
        FileNotFoundError: there is none of that name; says which are like it.
    """
    wanted = name.removeprefix(f"{PACKAGE}::").removeprefix(f"{kind}/")
    if wanted in _files(kind):
        return ROOT / kind / wanted
    known = names(kind)
    if len(found := [n for n in known if wanted in (Path(n).stem, Path(n).name)]) == 1:
        return ROOT / kind / found[0]
    stems = {Path(n).stem: n for n in known}
    alike = found or [stems[s] for s in get_close_matches(Path(wanted).stem, stems, 3, 0.5)]
    raise FileNotFoundError(
        f"{PACKAGE} has no {kind.removesuffix('s')} {name!r}; "
        + (f"did you mean {' or '.join(alike)}? " if alike else "")
        + f"`python -m {PACKAGE} {kind}` lists them"
    )
