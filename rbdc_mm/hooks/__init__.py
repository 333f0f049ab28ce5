"""Registered hooks: what happens during a run (growth, ledger, record, guard, ...)."""

from rbdc_mm.hooks.budget_stop import BudgetStopHook
from rbdc_mm.hooks.continued_schedule import ContinuedScheduleHook
from rbdc_mm.hooks.distillation import DistillationHook
from rbdc_mm.hooks.epoch_seed import EpochSeedHook
from rbdc_mm.hooks.flops_ledger import FLOPsLedgerHook
from rbdc_mm.hooks.foreign_weights import ForeignWeightsHook
from rbdc_mm.hooks.growth import GrowthHook
from rbdc_mm.hooks.run_guard import RunGuardHook
from rbdc_mm.hooks.run_record import RunRecordHook
from rbdc_mm.hooks.stop import StopHook

__all__ = [
    "BudgetStopHook",
    "ContinuedScheduleHook",
    "DistillationHook",
    "EpochSeedHook",
    "FLOPsLedgerHook",
    "ForeignWeightsHook",
    "GrowthHook",
    "RunGuardHook",
    "RunRecordHook",
    "StopHook",
]
