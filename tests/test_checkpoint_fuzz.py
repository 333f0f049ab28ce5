"""Whatever bytes and contents a checkpoint file has: it is read, or refused in words."""

from __future__ import annotations

import functools
import io
import pickle
import string

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from foreign_networks import hf_state, timm_vit, torchvision_resnet, torchvision_vit
from rbdc_mm.checkpoint.files import load_file, read_checkpoint

_QUICK = settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,  # the same examples everywhere
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_DECLARED = (ValueError, FileNotFoundError)


def _saved(content, **options) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def _small(state) -> dict[str, torch.Tensor]:
    """A network's keys, with tensors of few numbers."""
    return {k: torch.zeros([min(n, 2) for n in v.shape]) for k, v in state.items()}


_FILES = {
    "torch": _saved({"meta": {"cfg": "model = dict()"}, "state_dict": {"a.b": torch.ones(3)}}),
    "safetensors": save({"a.b": torch.ones(3)}, {"format": "pt", "rbdc_mm.meta": "{}"}),
    "old torch": _saved({"a": torch.ones(3)}, _use_new_zipfile_serialization=False),
    "pickle": pickle.dumps({"state_dict": [1, 2.0, "three", None]}),
}


def _read(path) -> None:
    for read in (load_file, read_checkpoint):
        try:
            read(path)
        except _DECLARED as error:
            assert str(path) in str(error) and len(str(error)) < 2000


@_QUICK
@given(content=st.binary(max_size=200))
@example(content=b"PK\x03\x04")
@example(content=b"\x80\x02")
@example(content=b"\x80\x02}q\x00.")
def test_any_bytes(content, tmp_path):
    (tmp_path / "x.pth").write_bytes(content)
    _read(tmp_path / "x.pth")


@pytest.mark.parametrize("kind", _FILES)
@_QUICK
@given(data=st.data())
def test_damaged_files(kind, data, tmp_path):
    """Cut off anywhere, and with a few bytes changed."""
    content = bytearray(_FILES[kind])
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.bin"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    _read(path)
    path.write_bytes(content)
    _read(path)


_NAMES = st.sampled_from(["state_dict", "model", "meta", "ema_state_dict", "optimizer", "cfg"])
_TENSORS = st.sampled_from(
    [torch.zeros(2), torch.zeros(()), torch.zeros(2, dtype=torch.int8), torch.zeros(0, 3)]
)
_KEYS = st.one_of(_NAMES, st.text(string.printable, max_size=12), st.integers(0, 3))
_VALUES = st.recursive(
    st.one_of(_TENSORS, st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=4)),
    max_leaves=8,
)


@_QUICK
@given(content=_VALUES)
@example(content={"meta": None, "state_dict": {}})
@example(content={"meta": {"cfg": 3}, "state_dict": {"backbone.a": torch.zeros(1)}})
@example(content={"meta": {"cfg": "model = ("}, "state_dict": {"backbone.a": torch.zeros(1)}})
@example(content={"meta": {"cfg": "x = 1"}, "state_dict": {"backbone.a": torch.zeros(1)}})
@example(content={"model": {"model": {"a": torch.zeros(1)}}})
def test_any_content(content, tmp_path):
    torch.save(content, tmp_path / "x.pth")
    _read(tmp_path / "x.pth")


@functools.cache
def _network(name: str) -> dict[str, torch.Tensor]:
    if name == "hf":
        return _small(hf_state(timm_vit(depth=1)))
    build = {"timm": timm_vit, "torchvision": torchvision_vit, "resnet": torchvision_resnet}[name]
    return _small(build().state_dict())


@pytest.mark.parametrize("name", ["timm", "hf", "torchvision", "resnet"])
@_QUICK
@given(data=st.data())
def test_networks_with_odd_tensors(name, data, tmp_path):
    """Tensors left out, renamed, and of other shapes."""
    state = dict(_network(name))
    for _ in range(data.draw(st.integers(0, 5))):
        key = data.draw(st.sampled_from(sorted(state)))
        value = state.pop(key)
        what = data.draw(st.sampled_from(["gone", "renamed", "reshaped"]))
        if what == "renamed":
            state[key + data.draw(st.sampled_from(["x", ".0", ".weight"]))] = value
        elif what == "reshaped":
            shape = data.draw(st.lists(st.integers(0, 5), max_size=5))
            state[key] = torch.zeros(shape)
    torch.save(state, tmp_path / "x.pth")
    try:
        read = read_checkpoint(tmp_path / "x.pth")
    except _DECLARED as error:
        assert "x.pth" in str(error)
    else:
        read.backbone  # noqa: B018
