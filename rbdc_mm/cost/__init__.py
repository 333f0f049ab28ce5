"""What training costs: FLOPs counted on the meta device, and the ledger.

Names are looked up on first use: whoever reads ledgers needs no torch.
"""

from importlib import import_module

_HOMES = {
    "CONVENTION": "units",
    "COUNTER_VERSION": "units",
    "Charges": "charges",
    "Entry": "entry",
    "Ledger": "ledger",
    "SampleCost": "counter",
    "count_flops": "counter",
    "format_flops": "units",
    "meta_parameters": "meta",
    "trace_flops": "counter",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
