"""Checkpoints that are none, are others', or are not what their shapes seem."""

from __future__ import annotations

import contextlib
import io
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import timm
import torch
from mmengine import Config
from safetensors.torch import save_file

from bad_inputs import BadInput
from checkpoint_helpers import save_checkpoint, save_config
from foreign_networks import hf_state, timm_resnet, timm_vit, torchvision_resnet, torchvision_vit
from helpers import resnet_model, vit_model
from rbdc_mm.checkpoint import saying
from rbdc_mm.checkpoint.classifiers import build_classifier
from rbdc_mm.checkpoint.convert import convert_checkpoint
from rbdc_mm.checkpoint.files import load_file, read_checkpoint
from rbdc_mm.checkpoint.grow import grow_checkpoint
from rbdc_mm.models.teacher_checks import teacher_problems
from rbdc_mm.protocol.dry_run import missing_checkpoints

VIT = vit_model(embed_dims=16, num_heads=2, num_layers=2)
DEIT = vit_model(192, 3, 2, num_classes=5)
DEIT["backbone"]["arch"]["feedforward_channels"] = 768
_NOT_A_FILE = "is not a checkpoint: it starts with"
_ODD = "mmpretrain's plain network computes something else, so it is not converted. Its keys are"


def refused(act: Callable[[], Any]) -> str:
    """The message of the error that an act ends in."""
    try:
        act()
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    raise AssertionError("it was accepted")


def said(act: Callable[[], Any]) -> str:
    """What it prints to stderr."""
    saying.say_once.cache_clear()
    with contextlib.redirect_stderr(io.StringIO()) as text:
        act()
    return text.getvalue()


def of_bytes(content: bytes, name: str = "x.pth") -> Callable[[Path], str]:
    """Reads a file of these bytes."""

    def provoke(folder: Path) -> str:
        (folder / name).write_bytes(content)
        return refused(lambda: read_checkpoint(folder / name))

    return provoke


def of_content(make: Callable[[], Any]) -> Callable[[Path], str]:
    """Reads a file that torch has saved."""

    def provoke(folder: Path) -> str:
        torch.save(make(), folder / "x.pth")
        return refused(lambda: read_checkpoint(folder / "x.pth"))

    return provoke


def timm_state(**options: Any) -> Callable[[Path], str]:
    return of_content(lambda: timm_vit(depth=1, **options).state_dict())


def of_name(name: str) -> Callable[[Path], str]:
    """A ResNet of timm's on the meta device: its keys and shapes are enough."""

    def make() -> dict:
        with torch.device("meta"):
            net = timm.create_model(name)
        return {k: torch.empty(()).expand(v.shape) for k, v in net.state_dict().items()}

    return of_content(make)


def with_tensor(key: str, *shape: int, **options: Any) -> Callable[[Path], str]:
    """timm's ViT with one tensor more."""
    return of_content(lambda: timm_vit(depth=1, **options).state_dict() | {key: torch.zeros(shape)})


def gone_class(is_there: bool) -> Callable[[Path], str]:
    """A pickle that names a class of a module which is not there, or has it no more."""

    def provoke(folder: Path) -> str:
        home = ModuleType("their_models")
        home.Net = type("Net", (), {"__module__": home.__name__})
        try:
            sys.modules[home.__name__] = home
            torch.save({"model": home.Net(), "epoch": 3}, folder / "x.pth")
            del home.Net
            if not is_there:
                del sys.modules[home.__name__]
            return refused(lambda: load_file(folder / "x.pth"))
        finally:
            sys.modules.pop(home.__name__, None)

    return provoke


def pretrained(
    state: Callable[[], Any], *, model: dict | None = None, prefix: Any = None, **backbone: Any
) -> Callable[[Path], str]:
    """What a dry run says of a detector's backbone that starts from these weights."""

    def provoke(folder: Path) -> str:
        torch.save(state(), folder / "x.pth")
        init = dict(type="Pretrained", checkpoint=str(folder / "x.pth"), prefix=prefix)
        config = model or dict(DEIT)
        config = {**config, "backbone": {**config["backbone"], **backbone, "init_cfg": init}}
        return "; ".join(missing_checkpoints(Config(dict(model=config))))

    return provoke


def load_from(state: Callable[[], Any] | None) -> Callable[[Path], str]:
    """What a dry run says of a run that loads these weights."""

    def provoke(folder: Path) -> str:
        if state is not None:
            torch.save(state(), folder / "x.pth")
        return "; ".join(
            missing_checkpoints(Config(dict(model=DEIT, load_from=str(folder / "x.pth"))))
        )

    return provoke


def grown(first: Any, second: Any, model: dict = VIT, **options: Any) -> Callable[[Path], str]:
    """Couples two files, each made by a function of its path."""

    def provoke(folder: Path) -> str:
        paths = [folder / "a.pth", folder / "b.pth"]
        for make, path in zip((first, second), paths, strict=True):
            make(path)
        return refused(lambda: grow_checkpoint("couple", paths, folder / "c.pth", **options))

    return provoke


def classifier(seed: int = 1, model: dict = VIT, dtype: torch.dtype | None = None) -> Any:
    """Writes one of ours."""

    def make(path: Path) -> None:
        save_checkpoint(path, model, seed)
        if dtype is not None:
            content = torch.load(path, weights_only=True)
            state = content["state_dict"]
            content["state_dict"] = {k: v.to(dtype) for k, v in state.items()}
            torch.save(content, path)

    return make


def promoted(dtype: torch.dtype) -> Callable[[Path], str]:
    def provoke(folder: Path) -> str:
        classifier(1)(folder / "a.pth")
        classifier(2, dtype=dtype)(folder / "b.pth")
        paths = [folder / "a.pth", folder / "b.pth"]
        return said(lambda: grow_checkpoint("couple", paths, folder / "c.pth"))

    return provoke


def other_things(kind: str) -> Callable[[Path], str]:
    def provoke(folder: Path) -> str:
        path = folder / "x.pth"
        if kind == "folder":
            path.mkdir()
        elif kind == "truncated":
            save_checkpoint(path, VIT)
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        elif kind == "truncated safetensors":
            path = folder / "x.safetensors"
            save_file({"a": torch.zeros(100)}, path)
            path.write_bytes(path.read_bytes()[:-50])
        elif kind == "address":
            return refused(lambda: read_checkpoint("https://example.com/x.pth"))
        elif kind == "name":
            return refused(lambda: read_checkpoint("torchvision://resnet50"))
        elif kind == "address as parent":
            model = {**VIT, "backbone": {**VIT["backbone"], "type": "RBDCVisionTransformer"}}
            model["backbone"]["parents"] = ["https://example.com/x.pth"]
            return "; ".join(missing_checkpoints(Config(dict(model=model))))
        elif kind == "foreign teacher of another image size":
            torch.save(timm_vit(img_size=64).state_dict(), path)
            model = {**DEIT, "type": "FeatureDistillationClassifier"}
            model["distillation"] = dict(teachers=[str(path)])
            return "; ".join(teacher_problems(Config(dict(model=model))))
        elif kind == "another eps as Pretrained":
            torch.save(hf_state(timm_vit()), path)
            init = dict(type="Pretrained", checkpoint=str(path))
            model = build_classifier({**DEIT, "backbone": {**DEIT["backbone"], "init_cfg": init}})
            return said(model.init_weights)
        elif kind == "another eps in growth":
            torch.save(hf_state(timm_vit()), path)
            save_checkpoint(folder / "b.pth", DEIT)
            parents = [path, folder / "b.pth"]
            return grow_checkpoint("couple", parents, folder / "c.pth")["exactness"]
        elif kind == "pickled objects":
            torch.save({"state_dict": {"a": torch.zeros(1)}, "log": SimpleNamespace()}, path)
            return said(lambda: load_file(path))
        return refused(lambda: read_checkpoint(path))

    return provoke


def converted(kind: str) -> Callable[[Path], str]:
    def provoke(folder: Path) -> str:
        path, out, options = folder / "x.pth", folder / "y.safetensors", {}
        if kind == "itself":
            save_checkpoint(path, VIT)
            out = folder / "." / "x.pth"
        elif kind == "wrong library":
            torch.save(timm_vit(depth=1).state_dict(), path)
            options = dict(library="hf")
        elif kind == "heads":
            torch.save(timm_vit(depth=1, embed_dim=48).state_dict(), path)
        elif kind == "narrow ResNet":
            save_checkpoint(path, resnet_model(18, 4))
            options = dict(to="torchvision")
        elif kind == "detector":
            save_checkpoint(path, VIT)
            content = torch.load(path, weights_only=True)
            content["meta"]["cfg"] = "model = dict(type='MaskRCNN', backbone=dict(type='ResNet'))"
            torch.save(content, path)
        elif kind == "block norm":
            save_checkpoint(path, vit_model(norm_cfg=dict(type="rbdc_mm.BlockLayerNorm",
                                                          blocks=[16, 16])))  # fmt: skip
            options = dict(to="timm")
        elif kind == "layer scale":
            save_checkpoint(path, vit_model(layer_scale_init_value=1e-4))
            options = dict(to="torchvision")
        elif kind == "blur":
            torch.save({"state_dict": timm_resnet().state_dict(), "arch": "resnetblur18"}, path)
        elif kind == "activation":
            torch.save(hf_state(timm_vit(depth=1)), path)
            text = '{"hidden_size": 192, "num_attention_heads": 3, "hidden_act": "quick_gelu"}'
            (folder / "config.json").write_text(text)
        elif kind == "no heads":
            torch.save(timm_vit(depth=1).state_dict(), path)
            options = dict(num_heads=0)
        elif kind == "uneven heads":
            torch.save(timm_vit(depth=1).state_dict(), path)
            options = dict(num_heads=5)
        elif kind == "odd mean":
            torch.save(hf_state(timm_vit(depth=1)), path)
            (folder / "preprocessor_config.json").write_text('{"image_mean": 0.5}')
        elif kind == "no JSON":
            torch.save(hf_state(timm_vit(depth=1)), path)
            (folder / "config.json").write_text("{")
        return refused(lambda: convert_checkpoint(path, out, **options))

    return provoke


def torchscript(folder: Path) -> str:
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(folder / "x.pth")
    return refused(lambda: read_checkpoint(folder / "x.pth"))


def with_config(folder: Path) -> str:
    torch.save(timm_vit(depth=1).state_dict(), folder / "x.pth")
    config = save_config(folder / "c.py", VIT)
    read = read_checkpoint(folder / "x.pth", config)
    return refused(lambda: grow_checkpoint("couple", [read.path] * 2, folder / "c.pth",
                                           configs=[config] * 2))  # fmt: skip


def folded() -> dict[str, torch.Tensor]:
    state = torchvision_resnet(50).state_dict()
    for key, value in state.items():
        if "running_mean" in key:
            value.zero_()
        elif "running_var" in key:
            value.fill_(1)
    return {k: v for k, v in state.items() if not k.startswith("fc") and "num_batches" not in k}


def tensors_of(model: dict) -> dict[str, torch.Tensor]:
    return build_classifier(model).state_dict()


R50 = dict(type="ResNet", depth=50, num_stages=4, out_indices=(0, 1, 2, 3))
DETECTOR = dict(type="ImageClassifier", backbone=R50)

CASES = [
    BadInput("an empty file", of_bytes(b""), rf"{_NOT_A_FILE} b'' \(the file is empty\)"),
    BadInput(
        "a git-lfs pointer",
        of_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n"),
        "it is a git-lfs pointer: fetch the file itself with git lfs pull",
    ),
    BadInput("a web page", of_bytes(b"<!DOCTYPE html>"), "it is a web page"),
    BadInput(
        "the index of a model in several files",
        of_bytes(b'{"metadata": {}, "weight_map": {}}', "model.safetensors.index.json"),
        "it is JSON, maybe the index of a checkpoint in several files: join those",
    ),
    BadInput("Python source", of_bytes(b"import os\n"), f"{_NOT_A_FILE} b'im'"),
    BadInput("a pickled list", of_bytes(pickle.dumps([1])), "a pickle that torch has not saved"),
    BadInput("a zip that torch did not write", of_bytes(b"PK\5\6" + bytes(18)), "is truncated or"),
    BadInput("half a file", other_things("truncated"), "is truncated or not a checkpoint"),
    BadInput("half of safetensors", other_things("truncated safetensors"), "is truncated or no"),
    BadInput("a folder", other_things("folder"), "is a folder: wanted a checkpoint file inside"),
    BadInput("no file", other_things("missing"), "checkpoint .*x.pth does not exist"),
    BadInput("an address", other_things("address"), "is an address: .* download it first"),
    BadInput("a zoo's name", other_things("name"), "torchvision://resnet50 is an address"),
    BadInput(
        "an address as a parent",
        other_things("address as parent"),
        "a parent is wanted as a file, download https://example.com/x.pth first",
    ),
    BadInput(
        "a whole pickled model",
        of_content(lambda: {"model": torch.nn.Linear(2, 2)}),
        r"is a whole pickled model \(Linear\): wanted its weights",
    ),
    BadInput(
        "a pickled class whose module is not there",
        gone_class(is_there=False),
        "whole pickled model, or .* not here .*their_models",
    ),
    BadInput(
        "a pickled class that its module has no more",
        gone_class(is_there=True),
        "whole pickled model, or .* not here .*attribute .Net. on <module .their_models.>",
    ),
    BadInput(
        "pickled objects beside weights",
        other_things("pickled objects"),
        "reading it runs what they name: load only files that you trust",
    ),
    BadInput(
        "an optimiser's state alone",
        of_content(lambda: {"optimizer": {"state": {}}, "epoch": 3}),
        r"holds no weights under another name.* got \['epoch', 'optimizer'\]",
    ),
    BadInput("a tensor", of_content(lambda: torch.zeros(2)), "holds no weights .* got a Tensor"),
    BadInput("nothing", of_content(dict), r"holds no weights under another name.* got \[\]"),
    BadInput(
        "a number among the weights",
        of_content(lambda: {"state_dict": {"a": 3}}),
        "among its weights 'a' is a int, wanted tensors",
    ),
    BadInput(
        "8-bit weights",
        of_content(lambda: {"fc.weight": torch.zeros(2, 2, dtype=torch.int8)}),
        r"'fc.weight' is a quantised or sparse tensor \(torch.int8",
    ),
    BadInput(
        "quantised weights",
        of_content(lambda: {"w": torch.quantize_per_tensor(torch.zeros(2), 0.1, 0, torch.quint8)}),
        "'w' is a quantised or sparse tensor",
    ),
    BadInput(
        "a network of another kind",
        of_content(lambda: {"layers.0.blocks.0.norm1.weight": torch.zeros(1), "b": torch.zeros(1)}),
        r"a Swin Transformer: its keys are 'layers.0.blocks.0.norm1.weight', 'b', wanted "
        "mmpretrain's 'backbone.cls_token', 'backbone.conv1.weight'",
    ),
    BadInput(
        "an unknown network",
        of_content(lambda: {"a": torch.zeros(1), "b": torch.zeros(1)}),
        "a network that is not known here: its keys are 'a', 'b', wanted mmpretrain's",
    ),
    BadInput(
        "ours, without a config",
        of_content(lambda: tensors_of(VIT)),
        "carries no config in its meta: give one with --config",
    ),
    BadInput(
        "a distilled DeiT",
        with_tensor("dist_token", 1, 1, 192),
        rf"a distilled DeiT.*\('dist_token'\), in the layout of timm's ViT.*{_ODD} 'cls_token'",
    ),
    BadInput(
        "Hugging Face's distilled DeiT",
        of_content(
            lambda: (
                hf_state(timm_vit(depth=1), "deit.")
                | {"deit.embeddings.distillation_token": torch.zeros(1, 1, 192)}
            )
        ),
        f"a distilled DeiT.*in the layout of Hugging Face's ViT or DeiT: {_ODD}",
    ),
    BadInput("register tokens", timm_state(reg_tokens=4), r"register tokens \('reg_token'\)"),
    BadInput("normalised queries", timm_state(qk_norm=True), "normalises queries and keys"),
    BadInput("a norm at the start, as CLIP's", timm_state(pre_norm=True), "a norm before its fir"),
    BadInput(
        "a ViT without class token",
        timm_state(class_token=False, global_pool="avg"),
        "a ViT without a class token, in the layout of timm's ViT",
    ),
    BadInput(
        "a gated MLP",
        timm_state(mlp_layer=timm.layers.SwiGLU),
        r"a ViT with a gated MLP, as SwiGLU \('blocks.0.mlp.fc1_g.weight'\)",
    ),
    BadInput(
        "a gated MLP, packed",
        timm_state(mlp_layer=timm.layers.GluMlp),
        r"a ViT with a gated MLP, as SwiGLU \('blocks.0.mlp.fc1.weight'\)",
    ),
    BadInput("attention pooling", timm_state(global_pool="map"), "pools by attention"),
    BadInput(
        "BEiT's biases",
        with_tensor("blocks.0.attn.relative_position_bias_table", 4, 3),
        "BEiT or EVA",
    ),
    BadInput(
        "tensors that a plain ViT has not",
        with_tensor("blocks.0.adapter.weight", 4, 3),
        rf"tensors that a plain one has not .1 of them.*{_ODD} 'blocks.0.adapter.weight'",
    ),
    BadInput(
        "layer scale under both of its names",
        with_tensor("blocks.0.gamma_1", 192, init_values=0.1),
        "holds one tensor under two names.* Its keys are 'blocks.0.ls1.gamma', 'blocks.0.gamma_1'",
    ),
    BadInput(
        "a ViT without some tensors",
        of_content(
            lambda: {
                k: v for k, v in timm_vit().state_dict().items() if k != "blocks.1.mlp.fc1.bias"
            }
        ),
        "tensor 'backbone.layers.1.ffn.layers.0.0.bias' is missing",
    ),
    BadInput(
        "positions that are no square",
        of_content(lambda: timm_vit(depth=1).state_dict() | {"pos_embed": torch.zeros(1, 20, 192)}),
        "20 positions are no square of patches and a class token",
    ),
    BadInput(
        "torchvision's ViT with a convolutional stem",
        of_content(
            lambda: (
                torchvision_vit().state_dict()
                | {"conv_proj.conv_bn_relu_0.0.weight": torch.zeros(8, 3, 3, 3)}
            )
        ),
        "a ViT with a convolutional stem",
    ),
    BadInput("a wide ResNet", of_name("wide_resnet50_2"), "a wide ResNet: 128 channels within"),
    BadInput("a ResNeXt", of_name("resnext50_32x4d"), "a ResNeXt, of grouped convolutions"),
    BadInput("an SE-ResNet", of_name("seresnet50"), "a ResNet with squeeze-and-excitation"),
    BadInput("a ResNet-D", of_name("resnet50d"), "a ResNet with a deep stem, as ResNet-D"),
    BadInput(
        "shortcuts that average",
        of_content(
            lambda: (
                torchvision_resnet().state_dict()
                | {"layer2.0.downsample.1.weight": torch.zeros(128, 64, 1, 1)}
            )
        ),
        "a ResNet that averages in its shortcuts",
    ),
    BadInput("a ResNet with GroupNorm", of_name("resnet50_gn"), "without BatchNorm's statistics"),
    BadInput("a ResNet of another depth", of_name("resnet26"), r"a ResNet of \[2, 2, 2, 2\] bott"),
    BadInput(
        "a ResNet-50 of whichever style",
        of_content(
            lambda: {k: v for k, v in torchvision_resnet(50).state_dict().items() if "fc" not in k}
        ),
        r"a ResNet-50 without the fc .* cannot be seen: give its config",
    ),
    BadInput(
        "timm's ResNet whose name alone shows that it blurs",
        converted("blur"),
        "holds timm's 'resnetblur18', which may have .* are timm's resnet18, resnet34",
    ),
    BadInput(
        "Detectron's ResNet in a pytorch-style backbone",
        pretrained(folded, model=DETECTOR),
        "BatchNorms hold no statistics.*take style='caffe'",
    ),
    BadInput(
        "torchvision's ResNet in a caffe-style backbone",
        pretrained(lambda: torchvision_resnet(50).state_dict(), model=DETECTOR, style="caffe"),
        "it is of style='pytorch', the config says style='caffe'",
    ),
    BadInput(
        "a checkpoint with another number of heads",
        pretrained(
            lambda: {
                "meta": {"cfg": Config(dict(model=DEIT)).pretty_text},
                "state_dict": tensors_of(DEIT),
            },
            prefix="backbone.",
            arch={**DEIT["backbone"]["arch"], "num_heads": 6},
        ),
        "it has 3 attention heads, the config says 6",
    ),
    BadInput(
        "timm's DeiT-Ti for a narrower backbone",
        pretrained(lambda: timm_vit().state_dict(), model=VIT),
        r"does not fit the backbone: cls_token: got \(1, 1, 192\), wanted \(1, 1, 16\)",
    ),
    BadInput(
        "a distilled DeiT as Pretrained",
        pretrained(lambda: timm_vit().state_dict() | {"dist_token": torch.zeros(1, 1, 192)}),
        "does not fit the backbone: .* a distilled DeiT",
    ),
    BadInput(
        "ours without the prefix",
        pretrained(lambda: tensors_of(DEIT)),
        r"holds none of .* Set init_cfg.prefix='backbone.'",
    ),
    BadInput(
        "ours of another width, a ResNet-50",
        pretrained(
            lambda: {
                "meta": {"cfg": Config(dict(model=resnet_model(50, 8))).pretty_text},
                "state_dict": tensors_of(resnet_model(50, 8)),
            },
            model=DETECTOR,
            prefix="backbone.",
        ),
        r"does not fit the backbone: conv1.weight: got \(8, 3, 7, 7\), wanted \(64, 3, 7, 7\)",
    ),
    BadInput(
        "a ResNet for a ViT",
        pretrained(lambda: torchvision_resnet().state_dict()),
        "it is not a checkpoint of such a backbone, with 'conv1.weight', .* for 'cls_token', ",
    ),
    BadInput(
        "load_from a network of another kind",
        load_from(lambda: {"a": torch.zeros(1), "b": torch.zeros(1)}),
        r"load_from holds none of the model's \d+ tensors: .*its keys are 'a', 'b', wanted mmp",
    ),
    BadInput(
        "load_from a distilled DeiT",
        load_from(lambda: timm_vit().state_dict() | {"dist_token": torch.zeros(1, 1, 192)}),
        "load_from: .* a distilled DeiT",
    ),
    BadInput("load_from nothing", load_from(None), "starts from .*x.pth, which is not there"),
    BadInput(
        "timm's DeiT-Ti for a backbone with other heads",
        pretrained(
            lambda: timm_vit().state_dict(), arch={**DEIT["backbone"]["arch"], "num_heads": 6}
        ),
        "it has 3 attention heads, the config says 6",
    ),
    BadInput("a half-precision parent", promoted(torch.float16), "float16 are promoted to torch.f"),
    BadInput("a bfloat16 parent", promoted(torch.bfloat16), "bfloat16 are promoted to torch.f"),
    BadInput(
        "a double-precision parent", promoted(torch.float64), "a.pth: .* promoted to torch.float64"
    ),
    BadInput(
        "a parent of whole numbers",
        grown(classifier(1), classifier(2, dtype=torch.int32)),
        "is of torch.int32, wanted floating-point weights",
    ),
    BadInput(
        "Hugging Face's ViT in a backbone with another eps",
        other_things("another eps as Pretrained"),
        r"eps=1e-12, this VisionTransformer \[1e-06\]: norm_cfg=dict\(type='LN', eps=1e-12\)",
    ),
    BadInput(
        "parents of two libraries, with another eps",
        other_things("another eps in growth"),
        r"not exact: .*eps is 1e-12, exact would be 1e-12 and 1e-06",
    ),
    BadInput(
        "parents with other classes",
        grown(classifier(1), classifier(2, vit_model(16, 2, 2, num_classes=7))),
        r"a.pth and .*b.pth differ in tensor 'head.layers.head.weight': \(10, 16\) and \(7, 16\)",
    ),
    BadInput(
        "a config that is not of timm's file", with_config, "does not fit ViTArch.embed_dims=16"
    ),
    BadInput(
        "a teacher of timm's at another image size",
        other_things("foreign teacher of another image size"),
        r"has img_size=\(64, 64\), its student img_size=\(32, 32\)",
    ),
    BadInput("OUT is IN", converted("itself"), "x.pth is the file to read: give another name"),
    BadInput(
        "--from another library",
        converted("wrong library"),
        "has the layout of timm's ViT .*its keys are 'cls_token', 'pos_embed', wanted those of hf",
    ),
    BadInput(
        "a ViT whose heads cannot be known",
        converted("heads"),
        "a ViT 48 wide .* do not show how many heads it has: .*--num-heads",
    ),
    BadInput(
        "a narrow ResNet for torchvision",
        converted("narrow ResNet"),
        r"torchvision has no such network, with base_channels=4 \(wanted 64\)",
    ),
    BadInput("a detector to convert", converted("detector"), "'MaskRCNN' is not a classifier"),
    BadInput("block norms for timm", converted("block norm"), "timm has no such .* norm='block'"),
    BadInput("layer scale for torchvision", converted("layer scale"), "with layer scale"),
    BadInput(
        "another activation", converted("activation"), "says hidden_act='quick_gelu', .* 'gelu'"
    ),
    BadInput("no heads", converted("no heads"), "num_heads=0: wanted a whole number of at least 1"),
    BadInput("uneven heads", converted("uneven heads"), "x.pth: num_heads=5 does not divide emb"),
    BadInput("a mean that is no list", converted("odd mean"), "wanted lists of numbers"),
    BadInput(
        "TorchScript",
        torchscript,
        r"TorchScript archives passed to ``torch|whole pickled model \(RecursiveScriptModule\)",
    ),
    BadInput("a config.json that is none", converted("no JSON"), "config.json, .* is no JSON"),
]
