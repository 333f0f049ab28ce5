"""What training costs: FLOPs counted on the meta device, closed formulas, the ledger."""

from rbdc_mm.cost.charges import Charges
from rbdc_mm.cost.counter import CONVENTION, COUNTER_VERSION, SampleCost, count_flops, trace_flops
from rbdc_mm.cost.entry import Entry
from rbdc_mm.cost.formulas import Macs, resnet_macs, vit_macs
from rbdc_mm.cost.ledger import Ledger
from rbdc_mm.cost.meta import meta_parameters
from rbdc_mm.cost.units import format_flops

__all__ = [
    "CONVENTION",
    "COUNTER_VERSION",
    "Charges",
    "Entry",
    "Ledger",
    "Macs",
    "SampleCost",
    "count_flops",
    "format_flops",
    "meta_parameters",
    "resnet_macs",
    "trace_flops",
    "vit_macs",
]
