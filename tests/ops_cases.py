"""mmcv's ops on small inputs, and what its compiled extension made of them.

``python tests/ops_cases.py`` records the outputs of a compiled mmcv 2.3.6 (CPU) into
``ops_reference.npz`` beside this file; it refuses any other.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import mmcv.ops
import numpy as np
import torch
from torch import Tensor

REFERENCE = Path(__file__).with_name("ops_reference.npz")
Random = np.random.RandomState  # its streams are frozen for good


def _normal(random: Random, *shape: int, dtype=torch.float32) -> Tensor:
    return torch.from_numpy(random.standard_normal(shape)).to(dtype)


def _uniform(random: Random, *shape: int, dtype=torch.float32) -> Tensor:
    return torch.from_numpy(random.random_sample(shape)).to(dtype)


def _boxes(random: Random, count: int, size: int, whole: bool = False) -> Tensor:
    corner, sides = _uniform(random, count, 2) * size, _uniform(random, count, 2) * size / 3 + 1
    boxes = torch.cat((corner, corner + sides), 1)
    return boxes.round() if whole else boxes  # whole numbers make IoUs that equal a threshold


def _scores(random: Random, count: int, ties: bool) -> Tensor:
    scores = _uniform(random, count)
    return (scores * 10).round() / 10 if ties else scores


def _with_gradients(function: Callable, *tensors: Tensor) -> list[Tensor]:
    """The output, and the gradient of its weighted sum with regard to every tensor."""
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    output = function(*leaves)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    return [output.detach(), *torch.autograd.grad((output * weights).sum(), leaves)]


def _nms(whole: bool, ties: bool, offset: int, threshold: float) -> list[Tensor]:
    random = Random(7)
    found = []
    for count in (1, 30, 150):
        boxes, scores = _boxes(random, count, 40, whole), _scores(random, count, ties)
        found += mmcv.ops.nms(boxes, scores, threshold, offset=offset)
    return found


def _soft_nms(method: str, offset: int, min_score: float, ties: bool) -> list[Tensor]:
    random = Random(11)
    boxes, scores = _boxes(random, 80, 60, whole=ties), _scores(random, 80, ties)
    return list(mmcv.ops.soft_nms(boxes, scores, 0.3, 0.5, min_score, method, offset))


def _nms_match(whole: bool, ties: bool, threshold: float) -> list[Tensor]:
    random = Random(13)
    dets = torch.cat((_boxes(random, 60, 50, whole), _scores(random, 60, ties)[:, None]), 1)
    groups = mmcv.ops.nms_match(dets, threshold)
    return [torch.cat(groups), torch.tensor([len(group) for group in groups])]


def _batched_nms(**nms_cfg) -> list[Tensor]:
    random = Random(17)
    boxes, scores = _boxes(random, 80, 60), _uniform(random, 80)
    classes = torch.from_numpy(random.randint(0, 5, 80))
    return list(mmcv.ops.batched_nms(boxes, scores, classes, nms_cfg))


def _overlaps(mode: str, aligned: bool, offset: int, dtype: torch.dtype) -> list[Tensor]:
    random = Random(19)
    first, second = (_boxes(random, 9, 30).to(dtype) for _ in range(2))
    return [mmcv.ops.bbox_overlaps(first, second, mode, aligned, offset)]


def _roi_align(aligned: bool, ratio: int, scale: float, dtype: torch.dtype) -> list[Tensor]:
    random = Random(23)
    features = _normal(random, 2, 3, 9, 11, dtype=dtype)
    images = torch.from_numpy(random.randint(0, 2, (6, 1))).to(dtype)
    rois = torch.cat((images, _boxes(random, 6, 40).to(dtype)), 1)
    rois[0, 1:] = 0  # an empty one, and one that leaves the image on all sides
    rois[1, 1:] = torch.tensor([-20.0, -30.0, 90.0, 100.0])
    return _with_gradients(
        lambda x: mmcv.ops.roi_align(x, rois, (3, 4), scale, ratio, "avg", aligned), features
    )


# groups, deform groups, stride, padding, dilation
_CONVOLUTIONS = ((1, 1, 1, 1, 1), (2, 2, 2, 1, 1), (1, 2, 1, 2, 2))


def _convolution(random: Random, settings: tuple[int, ...], spread: float, dtype: torch.dtype):
    groups, deform_groups, stride, padding, dilation = settings
    height, width = ((n + 2 * padding - 2 * dilation - 1) // stride + 1 for n in (5, 6))
    features = _normal(random, 2, 4, 5, 6, dtype=dtype)
    offset = spread * _normal(random, 2, 18 * deform_groups, height, width, dtype=dtype)
    mask = _uniform(random, 2, 9 * deform_groups, height, width, dtype=dtype)
    weight = _normal(random, 6, 4 // groups, 3, 3, dtype=dtype) / 3
    return features, offset, mask, weight, _normal(random, 6, dtype=dtype)


def _deform_conv(settings: tuple[int, ...], spread: float, dtype: torch.dtype) -> list[Tensor]:
    groups, deform_groups, *steps = settings
    features, offset, _, weight, _ = _convolution(Random(29), settings, spread, dtype)
    return _with_gradients(
        lambda *tensors: mmcv.ops.deform_conv2d(*tensors, *steps, groups, deform_groups),
        *(features, offset, weight),
    )


def _modulated(
    settings: tuple[int, ...], spread: float, with_bias: bool, dtype: torch.dtype
) -> list[Tensor]:
    groups, deform_groups, *steps = settings
    *tensors, bias = _convolution(Random(31), settings, spread, dtype)
    run = mmcv.ops.modulated_deform_conv2d
    if with_bias:
        return _with_gradients(lambda *t: run(*t, *steps, groups, deform_groups), *tensors, bias)
    return _with_gradients(lambda *t: run(*t, None, *steps, groups, deform_groups), *tensors)


def _larger_offsets(dtype: torch.dtype) -> list[Tensor]:
    """As DyHead calls it: offsets and masks of a map twice as high and wide."""
    random = Random(37)
    features, weight = (
        _normal(random, 2, 4, 3, 4, dtype=dtype),
        _normal(random, 4, 4, 3, 3, dtype=dtype),
    )
    offset = _normal(random, 2, 18, 6, 8, dtype=dtype)
    mask = _uniform(random, 2, 9, 6, 8, dtype=dtype)
    return _with_gradients(
        lambda *t: mmcv.ops.modulated_deform_conv2d(*t, None, 1, 1), features, offset, mask, weight
    )


def _empty() -> list[Tensor]:
    none = torch.zeros(0, 4)
    features = torch.ones(2, 3, 5, 5)
    return [
        *mmcv.ops.nms(none, none[:, 0], 0.5),
        *mmcv.ops.soft_nms(none, none[:, 0], 0.5),
        mmcv.ops.bbox_overlaps(none, none),
        *_with_gradients(lambda x: mmcv.ops.roi_align(x, torch.zeros(0, 5), 7, 1.0), features),
    ]


def _cases() -> dict[str, Callable[[], list[Tensor]]]:
    cases: dict[str, Callable[[], list[Tensor]]] = {"empty inputs": _empty}

    def add(function: Callable[..., list[Tensor]], **axes: tuple) -> None:
        for values in itertools.product(*axes.values()):
            options = dict(zip(axes, values, strict=True))
            told = ", ".join(f"{key}={value}" for key, value in options.items())
            cases[f"{function.__name__[1:]}: {told}"] = lambda f=function, o=options: f(**o)

    both, floats = (False, True), (torch.float32, torch.float64)
    add(_nms, whole=both, ties=both, offset=(0, 1), threshold=(0.1, 1 / 3, 0.5, 0.6, 0.7))
    add(
        _soft_nms, method=("naive", "linear", "gaussian"), offset=(0, 1), min_score=(1e-3, 0.3),
        ties=both,
    )  # fmt: skip
    add(_nms_match, whole=both, ties=both, threshold=(0.3, 0.6))
    add(_batched_nms, type=("nms",), iou_threshold=(0.5,), split_thr=(10, 10000), max_num=(-1, 9))
    add(_batched_nms, type=("soft_nms",), iou_threshold=(0.5,), min_score=(0.05,))
    add(_overlaps, mode=("iou", "iof"), aligned=both, offset=(0, 1), dtype=floats)
    add(_roi_align, aligned=both, ratio=(0, 2), scale=(0.25, 1 / 32), dtype=floats)
    add(_deform_conv, settings=_CONVOLUTIONS, spread=(0.0, 2.0), dtype=floats[:1])
    add(_deform_conv, settings=_CONVOLUTIONS[1:2], spread=(2.0,), dtype=floats[1:])
    add(_modulated, settings=_CONVOLUTIONS, spread=(2.0,), with_bias=both, dtype=floats[:1])
    add(_modulated, settings=_CONVOLUTIONS[1:2], spread=(0.0,), with_bias=(True,), dtype=floats[1:])
    add(_larger_offsets, dtype=floats)
    return cases


CASES = _cases()


def flat(tensors: list[Tensor]) -> Tensor:
    """All values of a case in one row; indices are small enough for any float."""
    wide = any(tensor.dtype == torch.float64 for tensor in tensors)
    return torch.cat([t.flatten().to(torch.float64 if wide else torch.float32) for t in tensors])


def record() -> None:
    """Writes the reference."""
    import mmcv
    import mmcv._ext

    if not mmcv._ext.__file__.endswith(".so") or mmcv.__version__ != "2.3.6":
        sys.exit(
            f"wanted the compiled ops of mmcv 2.3.6, got {mmcv._ext.__file__} of {mmcv.__version__}"
        )
    arrays = {name: flat(run()).numpy() for name, run in CASES.items()}
    np.savez_compressed(REFERENCE, **arrays)
    print(f"{len(CASES)} cases, {REFERENCE.stat().st_size} bytes")


if __name__ == "__main__":
    record()
