"""Image-text pretraining: two towers, one joint space, a contrastive loss over the global batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed.nn.functional as dist_nn
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank, get_world_size
from mmengine.model import BaseModel
from mmpretrain.models.utils.clip_generator_helper import Transformer
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from rbdc_mm.arch.text import CONTEXT_LENGTH, VOCAB_SIZE, text_sizes
from rbdc_mm.registry import MODELS

_FIRST_TEMPERATURE = 0.07
_LARGEST_SCALE = 100.0


class _Projection(nn.Module):
    """mmpretrain's CLIPProjection, which is there only where transformers is installed."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.proj = nn.Parameter(in_channels**-0.5 * torch.randn(in_channels, out_channels))

    def forward(self, feature: Tensor) -> Tensor:
        return feature @ self.proj


@MODELS.register_module()
class ImageTextPretrainer(BaseModel):
    """A vision tower and a text tower, trained so that an image lies beside its own caption.

    The towers end in one joint space: features are projected without bias and L2-normalised.
    The loss is the mean of both cross-entropies, of each image among all texts and of each text
    among all images of the global batch, over all ranks: gradients flow through the gathering, so
    that several ranks do what one does with their batches together (there must be no BatchNorm).
    Source: CLIP, arXiv 2103.00020, sections 2.3 to 2.5, and OpenAI's release for the text tower.

    Parts and names are those of mmpretrain's CLIP, so that weights go from here to CLIPZeroShot
    and back where the vision tower gives a vector (ViT, ConvNeXt): see ``clip_zero_shot``. Maps
    (ResNet, Swin) are averaged over positions here.

    Args:
        backbone: the vision tower, any backbone whose last output is a vector or a map.
        projection: ``in_channels``, the backbone's, and ``out_channels``, the width of the joint
            space; on the text's side it is the same.
        text_backbone: ``width``, ``layers`` and ``heads`` (by default as many as are 64 wide).
        vocab_size: of the tokenizer, whose end-of-text token is the last of it.
        context_length: tokens of a text, ends and padding included.
        data_preprocessor: as ImageClassifier's.
        init_cfg: as any BaseModel's.

    Raises:
        ValueError: settings of ``text_backbone``.

    Attributes:
        logit_scale: learned; its exponential multiplies the cosine similarities. It is kept
            between 0 and ln 100 from step to step.
    """

    def __init__(
        self,
        *,
        backbone: Mapping[str, Any],
        projection: Mapping[str, int],
        text_backbone: Mapping[str, int],
        vocab_size: int = VOCAB_SIZE,
        context_length: int = CONTEXT_LENGTH,
        data_preprocessor: Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        preprocessor = {"type": "mmpretrain.ClsDataPreprocessor", **(data_preprocessor or {})}
        super().__init__(data_preprocessor=preprocessor, init_cfg=init_cfg)
        sizes = text_sizes(**text_backbone)
        width, mask = sizes["width"], torch.full((context_length, context_length), -math.inf)
        self.vocab_size, self.context_length = vocab_size, context_length
        self.visual = MMPRETRAIN_MODELS.build(dict(backbone))
        self.visual_proj = _Projection(**projection)
        self.transformer = Transformer(**sizes, attn_mask=mask.triu_(1))
        for block in self.transformer.resblocks:  # mmpretrain's are in float32, always
            block.ln_1, block.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.token_embedding = nn.Embedding(vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(context_length, width))
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, projection["out_channels"]))
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(_FIRST_TEMPERATURE)))
        self._initialise_text()
        self._tokens_are_checked = False

    def _initialise_text(self) -> None:
        """As OpenAI's; the vision tower has its own."""
        transformer = self.transformer
        width, depth = transformer.width, transformer.layers
        drawn = [(self.token_embedding.weight, 0.02), (self.positional_embedding, 0.01)]
        drawn.append((self.text_projection, width**-0.5))
        for block in transformer.resblocks:
            closing_std = width**-0.5 * (2 * depth) ** -0.5
            drawn.append((block.attn.in_proj_weight, width**-0.5))
            drawn.append((block.attn.out_proj.weight, closing_std))
            drawn.append((block.mlp.c_fc.weight, (2 * width) ** -0.5))
            drawn.append((block.mlp.c_proj.weight, closing_std))
        for parameter, std in drawn:
            nn.init.normal_(parameter, std=std)

    def forward(
        self, inputs: Tensor, data_samples: Sequence[DataSample] | None = None, mode: str = "tensor"
    ) -> Any:
        """MMEngine's entry: ``'loss'``, ``'predict'``, or ``'tensor'`` for both features.

        Args:
            inputs: (N, 3, H, W), preprocessed.
            data_samples: each with ``text_tokens``, (L,); without texts the second of the tensors
                is None.
            mode: one of the three.
        """
        if mode == "loss":
            return self.loss(inputs, data_samples)
        if mode == "predict":
            return self.predict(inputs, data_samples)
        if mode != "tensor":
            raise ValueError(f"mode={mode!r}: wanted 'loss', 'predict' or 'tensor'")
        has_texts = bool(data_samples) and "text_tokens" in data_samples[0]
        texts = self.extract_text_feat(_tokens(data_samples)) if has_texts else None
        return self.extract_image_feat(inputs), texts

    def extract_image_feat(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, E), of length 1."""
        return F.normalize(self._image_embedding(images), dim=-1)

    def extract_text_feat(self, tokens: Tensor) -> Tensor:
        """(N, L) -> (N, E), of length 1; a text is read where its token id is the highest."""
        return F.normalize(self._text_embedding(tokens), dim=-1)

    def loss(self, inputs: Tensor, data_samples: Sequence[DataSample]) -> dict[str, Tensor]:
        """``loss`` of a batch; ValueError where a sample has no text, or there is but one."""
        with torch.no_grad():
            self.logit_scale.clamp_(0, math.log(_LARGEST_SCALE))
        images = self.extract_image_feat(inputs)
        texts = self.extract_text_feat(_tokens(data_samples))
        return dict(loss=contrastive_loss(images, texts, self.logit_scale.exp()))

    def predict(
        self, inputs: Tensor, data_samples: Sequence[DataSample] | None = None
    ) -> list[DataSample]:
        """Puts ``image_feat`` into every sample, ``text_feat`` where it has ``text_tokens``."""
        samples = list(data_samples or [DataSample() for _ in inputs])
        with_text = [sample for sample in samples if "text_tokens" in sample]
        for sample, feature in zip(samples, self.extract_image_feat(inputs), strict=True):
            sample.set_field(feature, "image_feat")
        if with_text:
            features = self.extract_text_feat(_tokens(with_text))
            for sample, feature in zip(with_text, features, strict=True):
                sample.set_field(feature, "text_feat")
        return samples

    def _image_embedding(self, images: Tensor) -> Tensor:
        feature = self.visual(images)[-1]
        if not isinstance(feature, Tensor) or feature.dim() not in (2, 4):
            got = tuple(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
            raise ValueError(
                f"model.backbone ({type(self.visual).__name__}) gives {got}: wanted one vector "
                "(N, C) or map (N, C, H, W) an image (of a ViT, out_type='cls_token' or "
                "'avg_featmap')"
            )
        if feature.dim() == 4:
            feature = feature.mean((2, 3))
        return self._joint(self.visual_proj(feature))

    def _text_embedding(self, tokens: Tensor) -> Tensor:
        self._check_tokens(tokens)
        x = (self.token_embedding(tokens) + self.positional_embedding).transpose(0, 1)
        x = self.ln_final(self.transformer(x)[0].transpose(0, 1))
        ends = tokens.argmax(-1)
        pooled = x[torch.arange(len(x), device=x.device), ends]
        return self._joint(pooled @ self.text_projection)

    def _joint(self, embedding: Tensor) -> Tensor:
        """In the parameters' precision: what follows is short of it under AMP."""
        return embedding.to(self.logit_scale.dtype)

    def _check_tokens(self, tokens: Tensor) -> None:
        if tokens.dim() != 2 or tokens.shape[1] != self.context_length:
            raise ValueError(
                f"texts are {tuple(tokens.shape)} tokens: wanted (N, {self.context_length}), as "
                "model.context_length says; give the tokenizer the same context_length"
            )
        if self._tokens_are_checked or tokens.is_meta:
            return
        highest = tokens.amax(1)
        if bool((highest != self.vocab_size - 1).any()):
            raise ValueError(
                f"the highest token ids of texts are {sorted(set(highest.tolist()))[:5]}: wanted "
                f"{self.vocab_size - 1}, the end of text in a vocabulary of {self.vocab_size}; "
                "make model.vocab_size the tokenizer's"
            )
        self._tokens_are_checked = True  # once: it waits for the device


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """Each image among all ranks' texts, each text among all ranks' images, of this rank's pairs.

    The mean over ranks is the loss of the global batch, and so is DDP's mean of their gradients.

    Args:
        images: (N, E), of length 1, on every rank as many.
        texts: (N, E), likewise; pair by pair.
        scale: what multiplies the cosine similarities.

    Raises:
        ValueError: a global batch of one pair, or ranks with unequal batches.
    """
    num, rank, world = len(images), get_rank(), get_world_size()
    if world > 1:
        counts = [int(n) for n in all_gather(torch.tensor(num, device=images.device))]
        if len(set(counts)) > 1:
            raise ValueError(
                f"the ranks have {counts} pairs in this batch: a contrastive loss wants equally "
                "many on each (a sampler that rounds up, or drop_last=True)"
            )
    if num * world < 2:
        raise ValueError(
            "a contrastive loss compares the pairs of a batch, and this one has a single pair: "
            "choose batch_size of 2 or more, and drop_last=True where one is left over"
        )
    labels = torch.arange(num, device=images.device) + num * rank
    all_images, all_texts = _gathered(images), _gathered(texts)
    with torch.autocast(images.device.type, enabled=False):
        by_image = F.cross_entropy(scale * images @ all_texts.T, labels)
        by_text = F.cross_entropy(scale * texts @ all_images.T, labels)
        return (by_image + by_text) / 2


def clip_zero_shot(
    model: Mapping[str, Any], tokenizer: Mapping[str, Any], **options: Any
) -> dict[str, Any]:
    """The config of mmpretrain's CLIPZeroShot that takes an ImageTextPretrainer's weights.

    mmpretrain has that model where transformers is installed.

    Args:
        model: the pretrainer's config; its vision tower gives a vector.
        tokenizer: mmpretrain's, of the same vocabulary as the one that it was trained with.
        **options: CLIPZeroShot's ``text_prototype`` and ``text_prompt``.
    """
    sizes = text_sizes(**model["text_backbone"])
    preprocessor = {k: v for k, v in model.get("data_preprocessor", {}).items() if k != "type"}
    return dict(
        type="CLIPZeroShot",
        vision_backbone=dict(model["backbone"]),
        projection=dict(model["projection"], type="CLIPProjection"),
        text_backbone=dict(sizes, type="CLIPTransformer"),
        tokenizer=dict(tokenizer),
        vocab_size=model.get("vocab_size", VOCAB_SIZE),
        transformer_width=sizes["width"],
        proj_dim=model["projection"]["out_channels"],
        context_length=model.get("context_length", CONTEXT_LENGTH),
        data_preprocessor=preprocessor,
        **options,
    )


def _gathered(features: Tensor) -> Tensor:
    """(N, E) of every rank -> (N x ranks, E) in their order, with gradients to every rank."""
    return features if get_world_size() == 1 else torch.cat(dist_nn.all_gather(features))


def _tokens(data_samples: Sequence[DataSample] | None) -> Tensor:
    if not data_samples or not all("text_tokens" in sample for sample in data_samples):
        raise ValueError(
            "samples without text_tokens: the pipeline wants rbdc_mm.Tokenize and "
            "PackInputs(algorithm_keys=('text_tokens',))"
        )
    return torch.stack([sample.text_tokens for sample in data_samples])
