"""Data: the sets made offline, and the checks of any set before training on it.

Names are looked up on first use: importing this package costs nothing.
"""

from importlib import import_module

_HOMES = {
    "make_digits": "digits",
    "load_digit_source": "digits",
    "make_digit_scenes": "digit_scenes",
    "make_captioned_scenes": "captioned_scenes",
    "make_fractals": "fractals",
    "make_class_folders": "class_sets",
    "make_cifar": "class_sets",
    "make_penn_fudan": "penn_fudan",
    "make_shards": "pack_shards",
    "build_tokenizer": "tokenizers",
    "config_for": "own_config",
    "save_preview": "preview",
    "Made": "store",
    "verify": "store",
    "DataLayoutError": "layout",
    "DataMissingError": "layout",
    "check_data": "checks",
    "check_dataset_cfg": "checks",
    "num_train_samples": "checks",
    "other_number": "checks",
    "say_warnings": "checks",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
