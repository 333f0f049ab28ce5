"""The model whose parameters are LiGO's maps: training it learns how to grow a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine import Config
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.func import functional_call

from rbdc_mm.arch import Arch, resolve
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.classifiers import build_classifier
from rbdc_mm.checkpoint.files import read_checkpoint
from rbdc_mm.checkpoint.precision import in_one_precision
from rbdc_mm.config import unscoped
from rbdc_mm.cost import Charges, meta_parameters
from rbdc_mm.growth import ligo
from rbdc_mm.growth.ligo import Start, ligo_maps, materialisation_flops
from rbdc_mm.models.cost_of import model_cost
from rbdc_mm.registry import MODELS


class _Source:
    """The frozen weights to grow from, read when first needed; copies of the model share them."""

    def __init__(self, path: str, model: Mapping[str, Any] | None) -> None:
        self.path = path
        self.arch: Arch = arch_of(model) if model else read_checkpoint(path).arch
        self._state: dict[str, Tensor] = {}

    def __deepcopy__(self, memo: dict) -> _Source:
        return self

    def state(self, device: torch.device | str = "cpu") -> dict[str, Tensor]:
        """The state dict, on a device."""
        if not self._state:
            (state,) = in_one_precision([read_checkpoint(self.path).state_dict], [self.path])
            resolve(self.arch, {key: value.shape for key, value in state.items()}, self.path)
            self._state = dict(state)
        if next(iter(self._state.values())).device != torch.device(device):
            self._state = {key: value.to(device) for key, value in self._state.items()}
        return self._state


@MODELS.register_module()
class LiGOClassifier(BaseModel):
    """A target classifier made anew in every step from a frozen source, by maps that are learned.

    Losses and predictions are the target's own, in every setting of its config. The source and the
    target's network stand outside the module tree: parameters and state dict are the maps alone, as
    ``growth.ligo`` takes them. Source: LiGO, arXiv 2303.00980, which learns for 100 steps and then
    trains the grown network as usual.

    Args:
        source: checkpoint of a ViT classifier.
        target: the config of the target, an ImageClassifier with a ViT.
        source_model: the source's model config; by default read from its checkpoint at once (given,
            nothing is read before training).
        seed: of the maps at the start, see ``growth.ligo``.
        noise: in them.
        start: of them, see ``growth.ligo``; how A is tied to B goes with it.
        data_preprocessor: as ImageClassifier's.

    Raises:
        FileNotFoundError: no source there.
        ValueError: a target that is no ImageClassifier, a source that cannot grow to it, or another
            than ``source_model`` says.
    """

    def __init__(
        self,
        source: str,
        target: Mapping[str, Any],
        source_model: Mapping[str, Any] | None = None,
        seed: int = 0,
        noise: float = 0.01,
        start: Start = "ours",
        data_preprocessor: Mapping[str, Any] | None = None,
    ) -> None:
        if (kind := unscoped(target["type"])) != "ImageClassifier":
            raise ValueError(f"model.target is a {kind!r}: LiGO grows a plain 'ImageClassifier'")
        target = {"data_preprocessor": data_preprocessor, **target}
        with meta_parameters():  # its own weights are never used
            network = build_classifier(target)
        super().__init__(data_preprocessor=network.data_preprocessor)  # with the target's Mixup
        self._source = _Source(source, source_model)
        self._target_arch = arch_of(target)
        self._network = (network,)  # a tuple, lest it become a submodule
        options = dict(seed=seed, noise=noise, start=start)
        ligo.growth(self._target_arch, [self._source.arch], [source], **options)  # whether they fit
        maps = ligo_maps(self._target_arch, self._source.arch, **options)
        self._start = start
        self.width, self.depth = (
            nn.ParameterDict(
                {k.removeprefix(kind): v for k, v in maps.items() if k.startswith(kind)}
            )
            for kind in ("width.", "depth.")
        )

    @property
    def flops_per_iteration(self) -> int:
        """FLOPs of an iteration besides those of training the target on its images."""
        return materialisation_flops(self._target_arch, self._source.arch)

    def training_charges(self, cfg: Config, image_size: tuple[int, int]) -> Charges:
        """See ``charges.SaysItsCharges``: training the target, all of it the operator's."""
        alone = dict(model=cfg.model.target, default_scope=cfg.get("default_scope"))
        cost = model_cost(Config(alone), image_size)
        return Charges(
            cost,
            train=0,
            operator=cost.train_flops,
            operator_per_iteration=self.flops_per_iteration,
            kind="operator",
        )

    def init_weights(self) -> None:
        """Reads the source, so that what is wrong shows early; the maps are what they are."""
        super().init_weights()
        self._source.state()

    def grown(self) -> dict[str, Tensor]:
        """The target's state dict; gradients flow to the maps."""
        maps = {name: value for name, value in self.named_parameters()}
        device = self.width["residual"].device
        state = self._source.state(device)
        with torch.autocast(device.type, enabled=False):  # weights are made in full precision
            return ligo.apply(
                self._target_arch,
                [self._source.arch],
                [state],
                [self._source.path],
                learned=maps,
                start=self._start,
            )

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[BaseDataElement] | None = None,
        mode: str = "tensor",
    ) -> Any:
        """As ImageClassifier's, for preprocessed images (B, C, H, W)."""
        (network,) = self._network
        network.train(self.training)
        return functional_call(network, self.grown(), (inputs, data_samples, mode))
