"""Made-up runs as ``collect`` returns them: what a page or a table must cope with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from rbdc_mm.cost import CONVENTION
from rbdc_mm.report.runs import COLUMNS, CURVE_COLUMNS, STAGE_COLUMNS, Runs

MODELS = {"deit-tiny": (5.72, 1.258), "deit-small": (22.05, 4.608)}  # M parameters, GMACs
NUM_EPOCHS = 300


class MadeRuns:
    """Collects rows, curves and stages; ``runs()`` makes the frames."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.curves: list[dict[str, Any]] = []
        self.stages: list[dict[str, Any]] = []
        self.random = np.random.default_rng(0)

    def runs(self) -> Runs:
        rows = pd.DataFrame(self.rows, columns=COLUMNS)
        unfinished = pd.DataFrame(columns=[*COLUMNS, "progress"])
        curves = pd.DataFrame(self.curves, columns=CURVE_COLUMNS)
        return Runs(rows, curves, pd.DataFrame(self.stages, columns=STAGE_COLUMNS), unfinished)

    def add(
        self,
        run_id: str,
        metrics: dict[str, float],
        *,
        own: float,
        sources: dict[str, float] | None = None,
        teachers: float = 0.0,
        architecture: str = "deit-small",
        **more: Any,
    ) -> None:
        """A run; ``sources`` are the PFLOPs of its source models by run id, NaN: unknown."""
        sources = sources or {}
        charged = sum(cost for cost in sources.values() if not math.isnan(cost))
        params_m, gmacs = MODELS[architecture]
        row = {
            "run": run_id, "kind": "classification", "method": "scratch", "seed": 0,
            "architecture": architecture, "config": "deit_scratch.py", "config_hash": "0f3a",
            "dataset": "ImageNet", "num_classes": 1000, "role": "run", "params_m": params_m,
            "gmacs_per_sample": gmacs, "epochs": NUM_EPOCHS, "num_iters": 1000,
            "own_pflops": own, "with_teachers_pflops": own + teachers,
            "total_pflops": own + teachers + charged,
            "total_is_lower_bound": any(map(math.isnan, sources.values())),
            "eval_pflops": 0.01 * own, "convention": CONVENTION, "wall_s": 36.0 * own,
            "gpu_hours": 0.08 * own, "peak_memory_gib": 20.5, "peak_memory_of": "device",
            "energy_kwh": 0.05 * own, "device": "8 x made-up GPU",
            "versions": "torch 2.11, mmengine 0.10", "commit": "0123456789abcdef",
            "dirty": False, "path": f"work_dirs/{run_id}/run.json", "run_id": run_id,
            "parents": ";".join(sources), "left_out": "", "best_epoch": NUM_EPOCHS - 10,
        }  # fmt: skip
        row |= metrics | {f"best_{name}": value + 0.1 for name, value in metrics.items()} | more
        if row["kind"] == "detection":
            row["pretraining_pflops"] = charged
        self.rows.append(row)
        for n in range(1, 11):
            for name, value in metrics.items():
                self.curves.append({
                    "run_id": run_id, "step": row["epochs"] * n // 10, "unit": "epoch",
                    "metric": name, "value": value * (1 - 0.5 * math.exp(-0.4 * n)),
                    "total_pflops": row["total_pflops"] - own * (1 - n / 10),
                })  # fmt: skip
        grow = {"name": f"couple to work_dirs/{run_id}/grown.pth", "parents": ";".join(sources)}
        entries = [(run_id, own, teachers, {"parents": f"{run_id}-grow" if sources else ""})]
        entries += [(f"{run_id}-grow", 0.0, 0.0, grow)] if sources else []
        entries += [(source, cost, 0.0, {}) for source, cost in sources.items()]
        for entry, train, teacher, named in entries:
            kind = "grow" if named is grow else "unknown" if math.isnan(train) else "train"
            self.stages.append({
                "run_id": run_id, "entry": entry, "name": entry, "entry_kind": kind,
                "train_pflops": train,
                "teacher_pflops": teacher, "operator_pflops": 0.0, "eval_pflops": 0.0,
                "parents": "",
            } | named)  # fmt: skip

    def protocol(
        self, method: str, seed: int, architecture: str, top1: float, own: float, **more: Any
    ) -> str:
        """A target and its two leaves; returns the target's run id."""
        name = f"{method}-{architecture}-seed{seed}"
        named = dict(method=method, config=f"{architecture}_{method}.py", seed=seed)
        leaves = {f"{name}-leaf-{n}": 0.15 * own for n in range(2)}
        for leaf, cost in leaves.items():
            self.add(leaf, {"top1": top1 - 6}, own=cost, architecture="deit-tiny", role="leaf",
                     stage=leaf[-6:], epochs=200, **named)  # fmt: skip
        self.add(name, {"top1": top1}, own=own, sources=leaves, architecture=architecture,
                 role="target", stage="target", epochs=200, **named, **more)  # fmt: skip
        return name

    def noise(self, sd: float = 0.12) -> float:
        return float(self.random.normal(0, sd))


def study() -> Runs:
    """Two architectures, five methods, three seeds, detectors; one unknown parent, one NaN run."""
    made = MadeRuns()
    for architecture, top, cost in (("deit-small", 79.0, 10000.0), ("deit-tiny", 72.0, 2800.0)):
        for seed in range(3):
            for part, less in ((1.0, 0.0), (0.5, 1.4), (0.25, 3.5)):
                epochs = round(NUM_EPOCHS * part)
                made.add(f"scratch-{architecture}-{epochs}-seed{seed}",
                         {"top1": top - less + made.noise()}, own=cost * part, seed=seed,
                         architecture=architecture, epochs=epochs)  # fmt: skip
            for method, gain, part in (("rbdc", 0.2, 0.5), ("com_pt", -0.2, 0.4),
                                       ("bert2bert", -0.5, 0.55)):  # fmt: skip
                teachers = 0.05 * cost if method == "com_pt" else 0.0
                made.protocol(method, seed, architecture, top + gain + made.noise(), cost * part,
                              teachers=teachers)  # fmt: skip
            made.add(f"net2net-{architecture}-seed{seed}", {"top1": top - 1 + made.noise()},
                     own=cost * 0.45, sources={"someone-elses-model": math.nan}, method="net2net",
                     architecture=architecture, config="deit_net2net.py", seed=seed)  # fmt: skip
    made.add("broken", {"top1": math.nan}, own=9000.0, left_out="accuracy/top1 of its last "
             "evaluation is nan", config="<script>document.title='run'</script>.py")  # fmt: skip
    for seed in range(3):
        for method, box in (("random", 30.0), ("scratch", 40.1), ("rbdc", 40.9)):
            pretraining = {"random": 0.0, "scratch": 10000.0, "rbdc": 6500.0}[method]
            metrics = {"bbox_mAP": box + made.noise(0.2), "segm_mAP": box - 3 + made.noise(0.2)}
            made.add(f"mask-rcnn-{method}-seed{seed}", metrics, own=3200.0, kind="detection",
                     sources={f"{method}-backbone": pretraining} if pretraining else {},
                     method=method, dataset="CocoDataset", epochs=12, seed=seed,
                     config="mask_rcnn_deit_s_rbdc_fpn_1x_coco.py")  # fmt: skip
    return made.runs()


def many(num: int) -> Runs:
    """``num`` plain runs: four methods at five budgets each, the rest seeds."""
    made = MadeRuns()
    for n in range(num):
        budget = n // 4 % 5 + 1
        made.add(f"run-{n:04d}", {"top1": 60 + 3 * budget + made.noise()}, own=100.0 * budget,
                 seed=n, method=("scratch", "rbdc", "com_pt", "ligo")[n % 4],
                 epochs=60 * budget)  # fmt: skip
    return made.runs()
