"""Registered hooks: growth, distillation, the ledger, the run record, a budget, seeds,
weights of other libraries."""

from rbdc_mm.hooks.budget_stop import BudgetStopHook
from rbdc_mm.hooks.distillation import DistillationHook
from rbdc_mm.hooks.epoch_seed import EpochSeedHook
from rbdc_mm.hooks.flops_ledger import FLOPsLedgerHook
from rbdc_mm.hooks.foreign_weights import ForeignWeightsHook
from rbdc_mm.hooks.growth import GrowthHook
from rbdc_mm.hooks.run_record import RunRecordHook

__all__ = [
    "BudgetStopHook",
    "DistillationHook",
    "EpochSeedHook",
    "FLOPsLedgerHook",
    "ForeignWeightsHook",
    "GrowthHook",
    "RunRecordHook",
]
