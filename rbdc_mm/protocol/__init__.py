"""Protocols: from a config to a plan, and from a plan to finished stages."""

from rbdc_mm.protocol.catalog import PROTOCOLS, protocol_of
from rbdc_mm.protocol.chain import CoMPT, Grow
from rbdc_mm.protocol.plan import Plan, Stage
from rbdc_mm.protocol.rbdc import RBDC, Scratch
from rbdc_mm.protocol.run import ProtocolRunner, StageError, make_plan, run_protocol

__all__ = [
    "PROTOCOLS",
    "RBDC",
    "CoMPT",
    "Grow",
    "Plan",
    "ProtocolRunner",
    "Scratch",
    "Stage",
    "StageError",
    "make_plan",
    "protocol_of",
    "run_protocol",
]
