"""The ledger's totals as scalars for TensorBoard, Weights & Biases, MLflow and the text log.

In TFLOPs (1e12), at every logging interval, by iteration: ``own_tflops``, ``total_tflops`` and,
where there are any, ``teachers_tflops`` and ``operator_tflops``. At every evaluation, by epoch:
``own_tflops_at_eval`` and ``total_tflops_at_eval``. They travel in the same message as the losses
or metrics, so that Weights & Biases can use them as x-axis. TensorBoard and MLflow know only whole
steps as x-axis: there every metric comes a second time as ``by_mflops/<metric>``, with the MFLOPs
(1e6) spent in all, ancestors included, as its step.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmengine.dist import master_only
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from mmengine.visualization import MLflowVisBackend, TensorboardVisBackend

from rbdc_mm.cost import Ledger

# Fine enough for the smallest run, and 64 bits hold 9e24 FLOPs of them.
FLOPS_PER_STEP = 10**6


def note_spent(hub: MessageHub, ledger: Ledger) -> None:
    """Gives LoggerHook what was spent so far, for its next line."""
    own = ledger.own
    some = {"teachers_tflops": own.teacher_flops, "operator_tflops": own.operator_flops}
    totals = {"own_tflops": ledger.target_only, "total_tflops": ledger.total}
    _note(hub, "train", totals | {name: flops for name, flops in some.items() if flops})


def note_evaluation(runner: Runner, ledger: Ledger, metrics: Mapping[str, float]) -> None:
    """Gives LoggerHook the totals at an evaluation, and the backends its metrics by FLOPs."""
    # Names of their own: LoggerHook counts training by iteration and evaluation by epoch.
    totals = {"own_tflops_at_eval": ledger.target_only, "total_tflops_at_eval": ledger.total}
    _note(runner.message_hub, "val", totals)
    _add_by_flops(runner, ledger.total // FLOPS_PER_STEP, metrics)


def _note(hub: MessageHub, mode: str, flops: Mapping[str, int]) -> None:
    for name, value in flops.items():
        # No '/' in a name: OpenMMLab's analyze_logs.py would take the line for an evaluation's.
        key = f"{mode}/{name}"
        # Only the latest is logged, and the hub copies a whole history at every update.
        hub.log_scalars.pop(key, None)
        hub.update_scalar(key, value / 1e12)


@master_only
def _add_by_flops(runner: Runner, step: int, metrics: Mapping[str, float]) -> None:
    for backend in runner.visualizer._vis_backends.values():
        if isinstance(backend, (TensorboardVisBackend, MLflowVisBackend)):
            scalars = {f"by_mflops/{name}": float(value) for name, value in metrics.items()}
            backend.add_scalars(scalars, step=step)
