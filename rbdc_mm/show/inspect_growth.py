"""How far a grown checkpoint is from the reference of the operator that grew it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rbdc_mm.arch import ImageTextArch
from rbdc_mm.checkpoint.arch_of import model_with_arch
from rbdc_mm.checkpoint.classifiers import (
    build_classifier,
    image_batches,
    load_classifier,
    logits,
)
from rbdc_mm.checkpoint.files import Checkpoint, read_checkpoint
from rbdc_mm.config import read_config
from rbdc_mm.growth import OPERATORS, couple
from rbdc_mm.growth.calibrate import norm_scales
from rbdc_mm.growth.exactness import Exactness
from rbdc_mm.growth.layer_norms import layer_norms
from rbdc_mm.models.image_size import image_size_of
from rbdc_mm.models.image_text import ImageTextPretrainer

CHECKPOINT_DATA = "checkpoint"
_BATCH = 32
_NUM_EXACT = 16  # images of the float64 check: a wrong function is wrong on any of them
_CALIBRATION_BATCHES = 4
# An exact claim is met when the gap, relative to the largest logit, is within this many roundings
# of the dtype that the file stores: a mean over three parents cannot be stored exactly.
_ROUNDINGS = 64


@dataclass(frozen=True)
class Agreement:
    """One network against the reference.

    Attributes:
        name: what was compared.
        max_abs: largest absolute difference of any logit.
        mean_abs: mean absolute difference of the logits.
        top1: share of the images whose top-1 class is the reference's, 0 to 1.
    """

    name: str
    max_abs: float
    mean_abs: float
    top1: float


@dataclass(frozen=True)
class Inspection:
    """What ``inspect_growth`` found.

    Attributes:
        grown, operator, parents: what was grown from what, by which operator.
        images: which images were used, in words.
        reference: the operator's reference, in words.
        reference_mean_abs: mean absolute logit of the reference, the scale of the differences.
        rows: the grown network first, then the corrections that were asked for.
        parents_top1: share of the images whose top-1 class two parents share, over all pairs.
        num_params: number of parameters.
        zero_share: share of them that is exactly zero, 0 to 1.
        declared: the exactness that the file (or, without a record, the operator) declares.
        exact_gap: largest difference of any logit from the reference relative to the largest
            reference logit, computed in float64.
        exact_bound: largest gap at which an exact claim is met (rounding of the stored dtype).
        exact_met: whether it is; None where nothing exact is declared.
    """

    grown: str
    operator: str
    parents: tuple[str, ...]
    images: str
    reference: str
    reference_mean_abs: float
    rows: tuple[Agreement, ...]
    parents_top1: float
    num_params: int
    zero_share: float
    declared: str
    exact_gap: float
    exact_bound: float
    exact_met: bool | None


@torch.no_grad()
def inspect_growth(
    grown: str | Path,
    *,
    parents: Sequence[str | Path] | None = None,
    configs: Sequence[str | Path] | None = None,
    num_images: int = 256,
    data: str | Path | None = None,
    seed: int = 0,
    compare_corrections: bool = False,
) -> Inspection:
    """Compares a grown classifier with its operator's reference, on the CPU.

    An image-text model's embeddings, before they are normalised, stand for logits, and channels
    for classes: of the images, and of as many texts of random tokens.

    Args:
        grown: a checkpoint that ``grow_checkpoint`` wrote; or any other (one trained since, say),
            together with ``parents``, which is then taken for a coupling.
        parents: the parents' checkpoints, by default those that ``grown`` names in its meta.
        configs: the parents' configs, for checkpoints that do not carry theirs.
        num_images: images to compare on; data may have fewer.
        data: None for random normal images, ``CHECKPOINT_DATA`` for the grown config's
            ``val_dataloader`` (shuffled), or a config file whose ``val_dataloader`` to use.
        seed: of the random images, or of the order of the data.
        compare_corrections: also couple anew in memory plainly, centred, and centred and
            calibrated (on other images than those compared on): one row each.

    Raises:
        FileNotFoundError, ValueError: see ``read_checkpoint``; no parents known, parents that do
            not grow to this network, or corrections asked for where they do not apply.
    """
    child = read_checkpoint(grown)
    record = child.meta.get("grown") or {}
    read = _read_parents(child, record, parents, configs)
    names, arches = [str(c.path) for c in read], [c.arch for c in read]
    operator = OPERATORS[record.get("operator", "couple")]
    options = dict(record.get("options") or {})
    if operator.target_arch is not None:
        options["norm"] = child.arch.norm
    exactness = operator.exactness(child.arch, arches, names, **options)
    if compare_corrections and operator.name != "couple":
        raise ValueError(f"--compare-corrections is about couplings: this grew by {operator.name}")
    if compare_corrections and isinstance(child.arch, ImageTextArch):
        raise ValueError(
            f"--compare-corrections measures a classifier's images, and {child.path} reads texts "
            "as well: leave it out"
        )
    if compare_corrections and (child.arch.norm == "block" or not layer_norms(child.arch)):
        raise ValueError(
            "--compare-corrections is about LayerNorm over all channels, which "
            f"{child.path} has not: its coupling is exact without corrections"
        )
    if num_images < 1:
        raise ValueError(f"num_images={num_images}: give at least 1")

    x, what = _images(child, num_images, data, seed)
    modules, model = [load_classifier(c) for c in read], load_classifier(child)
    each = [_logits(module, x) for module in modules]
    wanted = _weighted(exactness, each)
    rows = [_agreement("as it is", _logits(model, x), wanted)]
    if compare_corrections:
        calibration = _calibration_batches(child, read, data, seed, num_images)
        rows += [
            _agreement(name, _logits(corrected, x), wanted)
            for name, corrected in _corrections(child, read, modules, calibration)
        ]
    parameters = list(model.parameters())
    num_params = sum(p.numel() for p in parameters)
    num_zeros = sum(int((p == 0).sum()) for p in parameters)
    tops = [e.argmax(-1) for e in each]
    pairs = [(a == b).double().mean().item() for a, b in combinations(tops, 2)]
    declared = record.get("exactness", str(exactness))
    bound = _ROUNDINGS * torch.finfo(parameters[0].dtype).eps
    gap = _gap_in_float64(model, modules, exactness, x[:_NUM_EXACT])
    return Inspection(
        grown=str(child.path),
        operator=record.get("operator", "couple (assumed: the file has no record of its growth)"),
        parents=tuple(f"{c.path} ({c.weights} weights)" for c in read),
        images=what,
        reference=" + ".join(
            f"{w:.4g} x {n}" for w, n in zip(exactness.weights, names, strict=True)
        ),
        reference_mean_abs=wanted.abs().mean().item(),
        rows=tuple(rows),
        parents_top1=sum(pairs) / len(pairs) if pairs else 1.0,
        num_params=num_params,
        zero_share=num_zeros / num_params,
        declared=declared,
        exact_gap=gap,
        exact_bound=bound,
        exact_met=gap <= bound if declared.startswith("exact") else None,
    )


def _read_parents(
    child: Checkpoint,
    record: Mapping[str, Any],
    parents: Sequence[str | Path] | None,
    configs: Sequence[str | Path] | None,
) -> list[Checkpoint]:
    if not parents:
        parents = [parent["path"] for parent in record.get("parents", ())]
        if not parents:
            raise ValueError(f"{child.path} does not say what it was grown from: give --parents")
        lost = [path for path in parents if not Path(path).is_file()]
        if lost:
            raise FileNotFoundError(
                f"{child.path} was grown from {lost}, which is not there (seen from the current "
                "folder): say with --parents where it is now"
            )
    if configs and len(configs) != len(parents):
        raise ValueError(f"got {len(configs)} configs for {len(parents)} parents: give one each")
    pairs = zip(parents, configs or [None] * len(parents), strict=True)
    return [read_checkpoint(path, config) for path, config in pairs]


def _images(
    child: Checkpoint, num_images: int, data: str | Path | None, seed: int
) -> tuple[Tensor, str]:
    if data is None:
        height, width = _size(child)
        x = _random(child, num_images, seed)
        return x, f"{num_images} random normal images of {height} x {width} px (no real data)"
    cfg = child.cfg if data == CHECKPOINT_DATA else read_config(data)
    if not cfg.get("val_dataloader"):
        raise ValueError(f"{cfg.filename}: no val_dataloader to take images from")
    cfg = deepcopy(cfg)
    cfg.model = child.cfg.model if "model" not in cfg else cfg.model
    # Folders are read class by class: unshuffled, the first images would be of one class.
    cfg.val_dataloader.sampler = dict(type="DefaultSampler", shuffle=True)
    batches, have = [], 0
    with closing(image_batches(cfg, "val_dataloader", num_images, seed)) as stream:
        for batch in stream:
            batches.append(batch)
            have += len(batch)
            if have >= num_images:
                break
    x = torch.cat(batches)[:num_images]
    return x, f"{len(x)} images of the val_dataloader of {cfg.filename}"


def _size(child: Checkpoint) -> tuple[int, int]:
    """The image size that its tensors tell, or what its config trains at, else 224 pixels."""
    if "img_size" in child.arch.settings():
        return child.arch.settings()["img_size"]
    try:
        return image_size_of(child.cfg)
    except ValueError:  # a config without a pipeline: any size will do for convolutions
        return 224, 224


def _random(child: Checkpoint, num_images: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(
        num_images, child.arch.ends["in_channels"], *_size(child), generator=generator
    )


def _logits(model: nn.Module, x: Tensor) -> Tensor:
    """(B, classes); of an image-text model the embeddings of the images and of as many texts."""
    if not isinstance(model, ImageTextPretrainer):
        return torch.cat([logits(model, batch) for batch in x.split(_BATCH)])
    texts = _random_texts(model, len(x))
    seen = [model.image_embedding(batch) for batch in x.split(_BATCH)]
    return torch.cat([*seen, *(model.text_embedding(batch) for batch in texts.split(_BATCH))])


def _random_texts(model: ImageTextPretrainer, num: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    begin, end = model.vocab_size - 2, model.vocab_size - 1
    texts = torch.randint(0, begin, (num, model.context_length), generator=generator)
    texts[:, 0], texts[:, -1] = begin, end
    return texts


def _weighted(exactness: Exactness, each: Sequence[Tensor]) -> Tensor:
    return sum(w * e for w, e in zip(exactness.weights, each, strict=True))


def _agreement(name: str, got: Tensor, wanted: Tensor) -> Agreement:
    gap = (got - wanted).abs()
    top1 = (got.argmax(-1) == wanted.argmax(-1)).double().mean()
    return Agreement(name, gap.max().item(), gap.mean().item(), top1.item())


def _gap_in_float64(
    model: nn.Module, modules: Sequence[nn.Module], exactness: Exactness, x: Tensor
) -> float:
    """Relative gap in float64; turns the modules into float64 and leaves them so."""
    x = x.double()
    wanted = _weighted(exactness, [_logits(module.double(), x) for module in modules])
    return float((_logits(model.double(), x) - wanted).abs().max() / wanted.abs().max())


def _calibration_batches(
    child: Checkpoint,
    read: Sequence[Checkpoint],
    data: str | Path | None,
    seed: int,
    num_images: int,
) -> list[Tensor]:
    """As ``grow_checkpoint`` calibrates: the first parent's training data; random for random."""
    if data is None:
        return list(_random(child, num_images, seed + 1).split(_BATCH))
    num_batches = (child.meta.get("grown") or {}).get("calibrate_batches") or _CALIBRATION_BATCHES
    return list(image_batches(read[0].cfg, "train_dataloader", num_batches, 0))


def _corrections(
    child: Checkpoint,
    read: Sequence[Checkpoint],
    modules: Sequence[nn.Module],
    batches: Sequence[Tensor],
) -> list[tuple[str, nn.Module]]:
    arches, names = [c.arch for c in read], [str(c.path) for c in read]
    scales = norm_scales(arches, modules, batches, logits, center=True)
    kinds: dict[str, dict[str, Any]] = {
        "plain": {},
        "center": dict(mode="corrected"),
        "center + calibrate": dict(mode="corrected", norm_scales=scales),
    }
    coupled = []
    for name, options in kinds.items():
        model = build_classifier(model_with_arch(child.cfg.model, child.arch))
        state = couple.apply(child.arch, arches, [c.state_dict for c in read], names, **options)
        model.load_state_dict(state, strict=True)
        coupled.append((name, model.eval()))
    return coupled
