"""What a loader's metrics read, against what the loader shows the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from .coco_file import CocoUse, look_at_coco, other_content
from .dataset_cfg import COCO_TYPES, as_list, coco_of, type_name
from .findings import first_difference, shown
from .layout import DataLayoutError, refuse
from .splits import Judge, Split

_COCO_METRICS = ("CocoMetric", "FasterCocoMetric")


def metrics_of(cfg: Mapping, loader: str) -> list[Mapping]:
    """The configs of a loader's metrics."""
    given = as_list(cfg.get(f"{loader}_evaluator"))
    return [one for one in given if isinstance(one, Mapping) and one]


def judge_of(metrics: Sequence[Mapping]) -> Judge:
    """What they ask of the data; those that only write results ask nothing."""
    judging = [
        one
        for one in metrics
        if not one.get("format_only") and not type_name(one).startswith("Dump")
    ]
    kinds = {kind for one in judging for kind in as_list(one.get("metric"))}
    return Judge(
        compares=bool(judging),
        reads_iscrowd=any(type_name(one) == "CocoMetric" for one in judging),
        with_masks="segm" in kinds,
    )


def check_metrics(
    cfg: Mapping,
    found: Sequence[tuple[Mapping, Split]],
    heads: Mapping[str, int],
    loader: str,
) -> list[str]:
    """Raises DataLayoutError where a metric is of other data than the loader's, or of no output.

    Returns:
        Warnings, one line each.
    """
    where, warnings = f"{loader}_evaluator", []
    for metric in metrics_of(cfg, loader):
        if metric.get("format_only") and not metric.get("outfile_prefix"):
            raise DataLayoutError(
                f"{where} has format_only=True and no outfile_prefix: give the path that the names "
                "of the result files begin with"
            )
        truth = metric.get("ann_file")
        if truth and "://" not in truth:
            if not Path(truth).is_file():
                raise DataLayoutError(
                    f"{where}.ann_file={truth!r} is not there: it must be the annotation file that "
                    f"{loader}_dataloader reads"
                )
            if type_name(metric) in _COCO_METRICS:
                warnings += _check_truth(metric, Path(truth), found, loader)
        if "segm" in as_list(metric.get("metric")):
            _check_mask_head(cfg, where)
        if type_name(metric) == "Accuracy":
            _check_topk(metric, heads, where)
    return warnings


def _check_mask_head(cfg: Mapping, where: str) -> None:
    """A detector of boxes alone gives no masks; seen at the first evaluation."""
    roi_head = (cfg.get("model") or {}).get("roi_head")
    if roi_head and not roi_head.get("mask_head"):
        raise DataLayoutError(
            f"{where} has the metric 'segm', but the model's roi_head has no mask_head: set "
            f"{where}=dict(metric='bbox')"
        )


def _check_topk(metric: Mapping, heads: Mapping[str, int], where: str) -> None:
    largest = max(as_list(metric.get("topk") or 1))
    few = [number for path, number in heads.items() if path.startswith("model.head")]
    if few and largest > min(few):
        raise DataLayoutError(
            f"{where} has topk={metric['topk']}, but there are {min(few)} classes: mmpretrain "
            f"would stop at the first evaluation. Set {where}=dict(topk=(1,))"
        )


def _check_truth(
    metric: Mapping, truth: Path, found: Sequence[tuple[Mapping, Split]], loader: str
) -> list[str]:
    """The images that are judged must be those that are shown, by the same annotations."""
    found = [(leaf, split) for leaf, split in found if type_name(leaf) in COCO_TYPES]
    if not found:
        return []
    where = f"{loader}_evaluator.ann_file={str(truth)!r}"
    shown_ids = Counter(number for _, split in found for number in split.images)
    if twice := [number for number, count in shown_ids.items() if count > 1]:
        raise DataLayoutError(
            f"{loader}_dataloader shows images of several files under one id, {shown(twice[0])}: "
            f"{where} cannot tell their predictions apart. Give them ids of their own"
        )
    files = [coco_of(leaf)[0] for leaf, _ in found]
    if len(files) == 1 and not files[0].samefile(truth):
        use = CocoUse(
            classes=found[0][1].classes,
            is_judged=not metric.get("format_only"),
            needs_iscrowd=type_name(metric) == "CocoMetric" and not metric.get("format_only"),
            with_masks="segm" in as_list(metric.get("metric")),
        )
        refuse(truth, look_at_coco(truth, use).errors)
        if difference := other_content(files[0], truth):
            raise DataLayoutError(
                f"{where} is another file than {files[0]}, which {loader}_dataloader reads: "
                f"{difference}. Predictions would be judged by other annotations: name the same "
                "file in both"
            )
    elif len(files) > 1:
        judged = look_at_coco(truth, CocoUse())
        refuse(truth, judged.errors)
        ids = [sorted(map(str, numbers)) for numbers in (shown_ids, [i.id for i in judged.images])]
        if ids[0] != ids[1]:
            raise DataLayoutError(
                f"{where} has {len(ids[1])} images, the {len(files)} data sets of "
                f"{loader}_dataloader have {len(ids[0])}; the first difference is "
                f"{first_difference(ids[0], ids[1])}"
            )
    num_shown = sum(_num_shown(leaf, split) for leaf, split in found)
    if num_shown < len(shown_ids) and not metric.get("format_only"):
        return [
            f"{loader}_dataloader shows {num_shown} of the {len(shown_ids)} images in {truth} (by "
            "its indices or filter_cfg), but its evaluator judges by all: everything in the others "
            "counts as missed. Write an annotation file of these images alone"
        ]
    return []


def _num_shown(leaf: Mapping, split: Split) -> int:
    indices = leaf.get("indices")
    if indices is None:
        return split.num_samples
    count = abs(indices) if isinstance(indices, int) else len(indices)
    return min(count, split.num_samples)
