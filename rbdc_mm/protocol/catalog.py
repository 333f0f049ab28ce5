"""Which protocols there are, and the one that a config asks for."""

from __future__ import annotations

from typing import Protocol as Interface

from mmengine import Config

from rbdc_mm.config import unscoped
from rbdc_mm.names import Catalog
from rbdc_mm.protocol.plan import Plan
from rbdc_mm.protocol.seeds import protocol_seed


class Protocol(Interface):
    """A config's ``protocol = dict(type=..., ...)``: a dataclass that makes plans."""

    def plan(self, cfg: Config, num_samples: int) -> Plan:
        """The stages for the target that ``cfg`` describes, ``num_samples`` images an epoch."""


PROTOCOLS: Catalog[type[Protocol]] = Catalog("protocol")


def protocol_of(cfg: Config) -> Protocol:
    """The protocol that a config asks for.

    Raises:
        ValueError: an unknown type or option, with the known ones.
    """
    options = dict(cfg.protocol) | {"seed": protocol_seed(cfg)}
    kind = options.pop("type", None)
    family = PROTOCOLS[kind and unscoped(kind)]
    known = set(family.__dataclass_fields__)
    if set(options) - known:
        raise ValueError(
            f"protocol {family.__name__} has no option {sorted(set(options) - known)}: "
            f"the known ones are {sorted(known)}"
        )
    return family(**options)
