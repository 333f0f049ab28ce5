"""A checkpoint file in another layout or format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rbdc_mm.arch import Arch, ResNetArch, ViTArch, resolve
from rbdc_mm.checkpoint.arch_of import unscoped
from rbdc_mm.checkpoint.files import Checkpoint, read_checkpoint, write_checkpoint
from rbdc_mm.checkpoint.layouts import LAYOUTS, RESNET, export
from rbdc_mm.checkpoint.ledgers import ledger_of

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
        call = _call(arch, to, read)
        state = export(state, layout, str(path))
    write_checkpoint({"meta": meta, "state_dict": state}, out)
    target = layout.name if layout else "mmpretrain's"
    return Conversion(out, read.layout, target, arch, call)


def _layout_for(arch: Arch, to: str, path: Path) -> Any:
    if isinstance(arch, ResNetArch):
        if to in ("timm", "torchvision"):
            return replace(RESNET, option=to)
    else:
        found = [known for known in LAYOUTS if known.option == to and known is not RESNET]
        if found:
            return found[0]
    raise ValueError(
        f"{path}: a {type(arch).__name__} cannot be written for {to!r}, wanted one of "
        "['mmpretrain', 'timm', 'torchvision'] (ViTs also 'hf')"
    )


def _call(arch: Arch, to: str, read: Checkpoint) -> str:
    """How the other library builds this network; ValueError if it cannot."""
    if isinstance(arch, ResNetArch):
        problems = {
            f"base_channels={arch.base_channels} (wanted 64)": arch.base_channels != 64,
            "the caffe style of its strides": arch.style == "caffe",
        }
        _refuse(problems, to, read.path)
        num_classes = 0 if arch.num_classes is None else arch.num_classes
        start = "timm.create_model('resnet{}', num_classes={}{})"
        if to == "torchvision":
            start = "torchvision.models.resnet{}(num_classes={}{})"
        channels = f", in_chans={arch.in_channels}" if arch.in_channels != 3 else ""
        return start.format(arch.depth, num_classes, channels)
    assert isinstance(arch, ViTArch)
    height, width = arch.img_size
    problems = {"norm='block'": bool(arch.norm_blocks)}
    if to != "timm":
        problems |= {
            "layer scale": arch.layer_scale,
            "pooling over patches (out_type='avg_featmap')": arch.pooled_norm,
            "no bias of q, k and v": to == "torchvision" and not arch.qkv_bias,
            "images that are not square": height != width,
            "no final norm": not arch.final_norm,
        }
    else:
        problems["two last norms"] = arch.pooled_norm and arch.final_norm
    problems["no class token"] = not arch.with_cls_token
    problems["a head with a hidden layer"] = to != "torchvision" and arch.hidden_dim is not None
    _refuse(problems, to, read.path)
    return _vit_call(arch, to)


def _vit_call(arch: ViTArch, to: str) -> str:
    size = arch.img_size[0] if arch.img_size[0] == arch.img_size[1] else arch.img_size
    num_classes = 0 if arch.num_classes is None else arch.num_classes
    norm = f"partial(torch.nn.LayerNorm, eps={arch.norm_eps})"
    if to == "hf":
        return (
            f"transformers.ViTForImageClassification(ViTConfig(hidden_size={arch.embed_dims}, "
            f"num_hidden_layers={arch.num_layers}, num_attention_heads={arch.num_heads}, "
            f"intermediate_size={arch.feedforward_channels}, layer_norm_eps={arch.norm_eps}, "
            f"image_size={size}, patch_size={arch.patch_size}, qkv_bias={arch.qkv_bias}, "
            f"num_channels={arch.in_channels}, num_labels={num_classes}))"
        )
    if to == "torchvision":
        hidden = f", representation_size={arch.hidden_dim}" if arch.hidden_dim else ""
        return (
            f"torchvision.models.VisionTransformer(image_size={size}, "
            f"patch_size={arch.patch_size}, num_layers={arch.num_layers}, "
            f"num_heads={arch.num_heads}, hidden_dim={arch.embed_dims}, "
            f"mlp_dim={arch.feedforward_channels}, num_classes={num_classes}{hidden}, "
            f"norm_layer={norm})"
        )
    ratio = arch.feedforward_channels / arch.embed_dims
    more = "" if arch.qkv_bias else ", qkv_bias=False"
    more += ", init_values=1e-4" if arch.layer_scale else ""
    more += ", global_pool='avg', fc_norm=True" if arch.pooled_norm else ""
    more += f", in_chans={arch.in_channels}" if arch.in_channels != 3 else ""
    return (
        f"timm.models.VisionTransformer(img_size={size}, patch_size={arch.patch_size}, "
        f"embed_dim={arch.embed_dims}, depth={arch.num_layers}, num_heads={arch.num_heads}, "
        f"mlp_ratio={ratio:g}, num_classes={num_classes}{more}, norm_layer={norm})"
    )


def _refuse(problems: dict[str, bool], to: str, path: Path) -> None:
    found = [what for what, there in problems.items() if there]
    if found:
        raise ValueError(f"{path}: {to} has no such network, with {', '.join(found)}")
