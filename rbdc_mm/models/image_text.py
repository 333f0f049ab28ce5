"""Image-text pretraining: two towers, one joint space, a contrastive loss over the global batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmengine import Config
from mmengine.model import BaseModel
from mmpretrain.models.utils.clip_generator_helper import Transformer
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from rbdc_mm.arch import Arch
from rbdc_mm.arch.text import CONTEXT_LENGTH, VOCAB_SIZE, text_sizes
from rbdc_mm.checkpoint.arch_of import arch_of
from rbdc_mm.checkpoint.distilling import listed_teachers
from rbdc_mm.checkpoint.files import read_checkpoint
from rbdc_mm.checkpoint.teachers import load_teacher
from rbdc_mm.cost import Charges
from rbdc_mm.models.cost_of import image_text_cost, teacher_forward_flops
from rbdc_mm.models.image_text_loss import contrastive_loss
from rbdc_mm.models.teachers import Teachers
from rbdc_mm.registry import MODELS

ALPHA = 500 / 512
_FEATURE = "pre_logits"  # of these models the embeddings, be it called what it may
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
        distillation: ``teachers``, checkpoints of smaller, finished models, and ``alpha``: the
            loss is then ``loss_task`` and ``loss_ifd``, alpha times the squared distance of each
            image's feature to its teacher's, and of each text's, summed over channels; the mean
            over the batch and the teachers. They see the same batch, under the same autocast, and
            end in a joint space of the same width. By default alpha is 500/512: the released
            code of CoM-PT (arXiv 2604.12391) has 500 times the mean over 512 channels.
        init_cfg: as any BaseModel's.

    Raises:
        FileNotFoundError, ValueError: settings of ``projection``, ``text_backbone`` or
            ``distillation``; once they are read, in ``init_weights()``: teachers that do not fit.

    Attributes:
        teachers: see ``distillation``; None without.
        distilling: whether the loss has its second part; see ``hooks.DistillationHook``.
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
        distillation: Mapping[str, Any] | None = None,
        data_preprocessor: Mapping[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        preprocessor = {"type": "mmpretrain.ClsDataPreprocessor", **(data_preprocessor or {})}
        super().__init__(data_preprocessor=preprocessor, init_cfg=init_cfg)
        sizes = text_sizes(text_backbone)
        width, mask = sizes["width"], torch.full((context_length, context_length), -math.inf)
        self.vocab_size, self.context_length = vocab_size, context_length
        self.visual = MMPRETRAIN_MODELS.build(dict(backbone))
        self.visual_proj = _Projection(**_ends(projection))
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
        self.teachers, self.alpha = None, 0.0
        if distillation:
            parts = dict(backbone=backbone, projection=projection, text_backbone=text_backbone)
            ends = dict(vocab_size=vocab_size, context_length=context_length)
            student = arch_of(dict(type=type(self).__name__, **parts, **ends))
            self.teachers, self.alpha = _teachers(student, **distillation)
        self.distilling = self.teachers is not None
        self._charges: dict[bool, Charges] = {}

    def init_weights(self) -> None:
        """Initialises the vision tower; reads the teachers, so that what is wrong shows early."""
        super().init_weights()
        if self.teachers:
            self.teachers.load()

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
        return F.normalize(self.image_embedding(images), dim=-1)

    def extract_text_feat(self, tokens: Tensor) -> Tensor:
        """(N, L) -> (N, E), of length 1; a text is read where its token id is the highest."""
        return F.normalize(self.text_embedding(tokens), dim=-1)

    def loss(self, inputs: Tensor, data_samples: Sequence[DataSample]) -> dict[str, Tensor]:
        """``loss`` of a batch, or both of one that distils.

        Raises:
            ValueError: a sample without a text, or a global batch of one.
        """
        with torch.no_grad():
            self.logit_scale.clamp_(0, math.log(_LARGEST_SCALE))
        images = self.extract_image_feat(inputs)
        tokens = _tokens(data_samples)
        texts = self.extract_text_feat(tokens)
        task = contrastive_loss(images, texts, self.logit_scale.exp())
        if not self.teachers:
            return dict(loss=task)
        losses = dict(loss_task=task)
        if self.distilling:
            parts = [
                _distance(images, seen) + _distance(texts, read)
                for seen, read in self._taught(inputs, tokens)
            ]
            losses["loss_ifd"] = self.alpha * torch.stack(parts).mean()
        return losses

    def training_charges(self, cfg: Config, image_size: tuple[int, int]) -> Charges:
        """See ``charges.SaysItsCharges``: both towers of the teachers, while it distils."""
        if self.distilling not in self._charges:
            cost = image_text_cost(cfg, image_size)
            more: dict[str, Any] = {}
            if self.distilling:
                teachers = [read_checkpoint(path).cfg for path in self.teachers.paths]
                forwards = [teacher_forward_flops(t, _FEATURE, image_size) for t in teachers]
                more = dict(teacher=sum(forwards), teachers=self.teachers.paths)
            self._charges[self.distilling] = Charges(cost, train=cost.train_flops, **more)
        return self._charges[self.distilling]

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

    @torch.no_grad()
    def _taught(self, images: Tensor, tokens: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each teacher's features of the images and of the texts."""
        teachers = self.teachers.on(images.device)
        return [(t.extract_image_feat(images), t.extract_text_feat(tokens)) for t in teachers]

    def image_embedding(self, images: Tensor) -> Tensor:
        """As ``extract_image_feat``, before it is normalised: what growth keeps, or averages."""
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
        if feature.shape[1] != len(self.visual_proj.proj):
            raise ValueError(
                f"model.backbone gives {feature.shape[1]} channels, model.projection.in_channels "
                f"is {len(self.visual_proj.proj)}: make them agree"
            )
        return self._joint(self.visual_proj(feature))

    def text_embedding(self, tokens: Tensor) -> Tensor:
        """As ``extract_text_feat``, likewise."""
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


def _ends(projection: Mapping[str, int]) -> Mapping[str, int]:
    if set(projection) != {"in_channels", "out_channels"}:
        raise ValueError(
            f"model.projection={dict(projection)}: wanted in_channels, those of the backbone, and "
            "out_channels, the width of the joint space"
        )
    return projection


def _teachers(
    student: Arch, *, teachers: Sequence[str] = (), alpha: float = ALPHA, **more: Any
) -> tuple[Teachers, float]:
    if more:
        raise ValueError(
            f"distillation has no option {sorted(more)} in an image-text model: the known ones are "
            "'alpha', 'teachers'"
        )
    if not alpha > 0:
        raise ValueError(
            f"distillation.alpha must be positive, got {alpha}: to train without teachers, leave "
            "distillation out"
        )
    paths = listed_teachers(teachers)
    options = dict(student=student, feature=_FEATURE, channels=student.joint)
    return Teachers(paths, [partial(load_teacher, **options)] * len(paths)), alpha


def _distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of the squared distance between unit vectors."""
    return (student - teacher).square().sum(-1).mean()


def _tokens(data_samples: Sequence[DataSample] | None) -> Tensor:
    if not data_samples or not all("text_tokens" in sample for sample in data_samples):
        raise ValueError(
            "samples without text_tokens: the pipeline wants rbdc_mm.Tokenize and "
            "PackInputs(algorithm_keys=('text_tokens',))"
        )
    return torch.stack([sample.text_tokens for sample in data_samples])
