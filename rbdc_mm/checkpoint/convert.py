"""A checkpoint file in another layout or format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rbdc_mm.arch import ARCHS, Arch, resolve
from rbdc_mm.checkpoint.files import read_checkpoint, write_checkpoint
from rbdc_mm.checkpoint.layouts import LAYOUTS, Layout, export
from rbdc_mm.checkpoint.ledgers import ledger_of
from rbdc_mm.config import unscoped

FORMATS = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True)
class Conversion:
    """What ``convert_checkpoint`` did.

    Attributes:
        out: the file that was written.
        source, target: the layouts, in words.
        arch: the network.
        how_to_build: the call that builds it in the other library; empty for mmpretrain.
    """

    out: Path
    source: str
    target: str
    arch: Arch
    how_to_build: str = ""


def convert_checkpoint(
    path: str | Path,
    out: str | Path,
    *,
    library: str = "auto",
    to: str = "mmpretrain",
    config: str | Path | None = None,
    num_heads: int | None = None,
) -> Conversion:
    """Writes a classifier's (or a backbone's) checkpoint in another library's layout.

    The weights are those that are evaluated: EMA's where the run kept them. ``meta`` comes along,
    in every layout: the config that builds the network here, the ledger (unknown cost where there
    was none), what it was grown from.

    Args:
        path: the file to read; it stays as it is.
        out: the file to write, whole or not at all. ``.pth``, ``.pt`` and ``.bin`` are torch's
            format, ``{'state_dict': ..., 'meta': ...}``; any other name is safetensors, whose
            header holds ``meta``, and gets that ending.
        library: see ``read_checkpoint``.
        to: ``mmpretrain``, ``timm``, ``torchvision`` or ``hf``.
        config, num_heads: of a checkpoint that does not show them.

    Raises:
        FileNotFoundError, ValueError: see ``read_checkpoint``; ``out`` is the file to read, or a
            network that the other library does not have.
    """
    path, out = Path(path), Path(out)
    if out.suffix not in FORMATS:
        out = out.with_name(f"{out.name}.safetensors")
    if out.is_dir():
        raise ValueError(f"{out} is a folder: wanted the name of the file to write")
    if out.exists() and path.exists() and out.samefile(path):
        raise ValueError(f"{out} is the file to read: give another name to write to")
    read = read_checkpoint(path, config, library, num_heads)
    model = read.cfg.get("model") or {}
    is_headless = unscoped(model.get("type", "")) == "ImageClassifier" and not model.get("head")
    arch = read.backbone if is_headless else read.arch
    shapes = {key: value.shape for key, value in read.state_dict.items()}
    resolve(arch, shapes, str(path))
    meta = {
        **{key: value for key, value in read.meta.items() if key != "config"},
        "cfg": read.cfg.pretty_text,
        "weights": read.weights,
        "ledger": ledger_of(read).to_dict(),
    }
    state, layout, call = read.state_dict, None, ""
    if to != "mmpretrain":
        layout = _layout_for(arch, to, path)
        call = layout.call(arch, to)
        state = export(state, layout, str(path))
    write_checkpoint({"meta": meta, "state_dict": state}, out)
    target = layout.name if layout else "mmpretrain's"
    return Conversion(out, read.layout, target, arch, call)


def _layout_for(arch: Arch, to: str, path: Path) -> Layout:
    of_family = [known for known in LAYOUTS if type(arch) is ARCHS[known.family]]
    for layout in of_family:
        if to in layout.libraries:
            if found := [what for what, there in layout.problems(arch, to).items() if there]:
                raise ValueError(f"{path}: {to} has no such network, with {', '.join(found)}")
            return layout
    wanted = ["mmpretrain", *(name for known in of_family for name in known.libraries)]
    raise ValueError(
        f"{path}: a {type(arch).__name__} cannot be written for {to!r}, wanted one of {wanted}"
    )
