"""One checkpoint judged on several data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine import Config
from mmengine.dist import is_main_process
from mmpretrain.registry import DATASETS

from rbdc_mm.checkpoint.files import load_file
from rbdc_mm.config import plain_config, read_config
from rbdc_mm.data.dataset_cfg import is_known, leaves, loaders_of, pipeline_of, type_name
from rbdc_mm.data.same_tokenizer import tokenizer_cfgs
from rbdc_mm.protocol.launch import apply_options, evaluate
from rbdc_mm.records import RECORD, RunRecord

_IN_MEMORY = ("CIFAR10", "CIFAR100")  # RGB, where files are read as BGR
_TO_BGR = [dict(type="NumpyToPIL", to_rgb=False), dict(type="PILToNumpy", to_bgr=True)]
_LOADERS = ("test", "val", "train")
_META_KEYS = ("sample_idx", "img_path", "captions")


def evaluate_clip(
    checkpoint: str | Path,
    data: Sequence[str | Path],
    *,
    config: str | Path | None = None,
    tokenizer: Mapping[str, Any] | None = None,
    batch_size: int = 64,
    num_workers: int = 2,
    launcher: str = "none",
    amp: bool = False,
    cfg_options: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Judges an image-text model on data sets: ``<name>/<metric> -> value``.

    A data set's config says which images and how they are judged: ``dataset`` and ``evaluator``
    (one or several, such as ``rbdc_mm.ZeroShotAccuracy``); ``<name>`` is its file's. How images and
    texts are read is the model's own: the pipeline of its test or validation loader (unless the
    data set has a ``pipeline``), and its tokenizer.

    Args:
        checkpoint: of the model.
        data: config files of data sets.
        config: the model's config; by default the one in the checkpoint.
        tokenizer: in place of the one in that config.
        batch_size: images at a time.
        num_workers: processes that load images.
        launcher: see MMEngine's.
        amp: whether images are read in mixed precision.
        cfg_options: settings of the model's config.

    Raises:
        FileNotFoundError, ValueError: no such checkpoint or config; settings or data that are
            missing or do not suit each other.
    """
    content = load_file(checkpoint)
    cfg = _config_of(checkpoint, content, config)
    folder = Path(checkpoint).parent / "evaluate_clip"
    cfg = apply_options(
        cfg,
        config_path=config or checkpoint,
        work_dir=str(folder),
        launcher=launcher,
        cfg_options=cfg_options,
    )
    known = [tokenizer] if tokenizer else [one for _, one in tokenizer_cfgs(cfg, _LOADERS)]
    if not known:
        raise ValueError(
            f"the config of {checkpoint} names no tokenizer (of a Tokenize or an evaluator): give "
            "it with --tokenizer"
        )
    names = [Path(one).stem for one in data]
    if twice := [name for n, name in enumerate(names) if name in names[:n]]:
        raise ValueError(f"two data sets are named {twice[0]}: give their files other names")
    loader = dict(batch_size=batch_size, num_workers=num_workers)
    sets = [_judging(cfg, read_config(one), str(one), known[0], loader) for one in data]
    metrics: dict[str, float] = {}
    for name, one in zip(names, sets, strict=True):
        one.work_dir, one.experiment_name = str(folder / name), name
        metrics |= {f"{name}/{k}": float(v) for k, v in evaluate(one, checkpoint, amp=amp).items()}
    return metrics


def add_to_record(checkpoint: str | Path, metrics: Mapping[str, float]) -> Path:
    """Adds metrics to the last evaluation in the record of the run that a checkpoint is the end of.

    So they become columns of its tables.

    Raises:
        ValueError: beside the checkpoint there is no record of a run that is finished.
    """
    path = Path(checkpoint).parent / RECORD
    record = RunRecord.read(path) if path.is_file() else None
    if record is None or not record.finished or not record.history:
        raise ValueError(
            f"there is no {RECORD} of a finished, evaluated run beside {checkpoint}: give the "
            "checkpoint in the run's work dir"
        )
    last = max(record.history, key=int)
    record.history[last] |= metrics
    if is_main_process():
        record.write(path)
    return path


def _config_of(
    checkpoint: str | Path, content: Mapping[str, Any], config: str | Path | None
) -> Config:
    if config is not None:
        return read_config(config)
    text = content.get("meta", {}).get("cfg")
    if not isinstance(text, str):
        raise ValueError(f"{checkpoint} holds no config: give the model's with --config")
    return plain_config(Config.fromstring(text, ".py"))


def _judging(
    model_cfg: Config, data_cfg: Config, name: str, tokenizer: Mapping, loader: Mapping
) -> Config:
    """The model's config, to be tested on a data set alone."""
    if absent := [key for key in ("dataset", "evaluator") if not data_cfg.get(key)]:
        raise ValueError(
            f"{name} has no {' and no '.join(absent)}: a data set's config says dataset=dict(...) "
            "and evaluator=dict(type='rbdc_mm.ZeroShotAccuracy', ...)"
        )
    evaluators = data_cfg.evaluator
    evaluators = evaluators if isinstance(evaluators, list | tuple) else [evaluators]
    dataset = deepcopy(data_cfg.dataset)
    if not dataset.get("pipeline"):
        dataset.pipeline = _pipeline(model_cfg, type_name(dataset))
    cfg = deepcopy(model_cfg)
    for key in ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler"):
        cfg.pop(key, None)
    for key in ("val_dataloader", "val_cfg", "val_evaluator", "custom_hooks"):
        cfg.pop(key, None)
    _check_there(dataset, name)
    cfg.test_cfg = dict(type="rbdc_mm.ImageTextTestLoop")
    cfg.test_dataloader = dict(
        loader,
        dataset=dataset,
        sampler=dict(type="DefaultSampler", shuffle=False),
        collate_fn=dict(type="default_collate"),
    )
    cfg.test_evaluator = [
        dict(one) if "tokenizer" in one else dict(one, tokenizer=dict(tokenizer))
        for one in evaluators
    ]
    return cfg


def _check_there(dataset: Mapping[str, Any], name: str) -> None:
    """Builds a data set of which ``check_data`` knows nothing."""
    if is_known(dataset):
        return
    try:
        DATASETS.build({**dataset, "pipeline": []})
    except (RuntimeError, OSError, AssertionError) as error:
        raise ValueError(
            f"{name}: its {type_name(dataset)} cannot be read ({' '.join(str(error).split())}): "
            "have it where dataset.data_root says"
        ) from error


def _pipeline(cfg: Config, kind: str) -> list[dict]:
    """How the model's config reads images that it is tested with."""
    found = [
        pipeline_of(leaf)
        for phase in ("test", "val")
        for dataloader, _ in loaders_of(cfg, phase)
        for leaf in leaves(dataloader["dataset"])
    ]
    if not found:
        raise ValueError(
            "the model's config has neither a test_dataloader nor a val_dataloader that says how "
            "images are read: give dataset a pipeline"
        )
    pipeline = []
    for step in found[0]:
        if type_name(step) == "LoadImageFromFile" and kind in _IN_MEMORY:
            pipeline += _TO_BGR
        elif type_name(step) == "PackInputs":
            pipeline.append(dict(type=step["type"], meta_keys=_META_KEYS))
        elif type_name(step) != "Tokenize":
            pipeline.append(dict(step))
    return pipeline
