"""Configs as everything here reads them: by file or address, and with names for all types."""

from rbdc_mm.config.plain import TYPE_KEYS, name_of, object_of, plain_config, unscoped
from rbdc_mm.config.reading import read_config

__all__ = ["TYPE_KEYS", "name_of", "object_of", "plain_config", "read_config", "unscoped"]
