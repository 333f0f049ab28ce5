"""The image-text pretrainer: its loss on any number of ranks, mmpretrain's CLIP, bad input."""

from __future__ import annotations

import math
import multiprocessing
import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from image_text_models import (
    CONTEXT,
    JOINT,
    VOCAB,
    clip_model,
    images,
    pretrainer,
    samples,
    tokens,
)
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS, TOKENIZER
from torch.nn.parallel import DistributedDataParallel

from helpers import build_classifier, convnext_model, randomise, resnet_model, swin_model
from rbdc_mm.models import clip_zero_shot
from rbdc_mm.models.image_text_loss import contrastive_loss

# What it computes


def test_features_and_predictions():
    model, texts, batch = pretrainer(clip_model()), tokens(3), images(3)
    found = model(batch, samples(texts), mode="predict")
    for number, sample in enumerate(found):
        torch.testing.assert_close(
            sample.image_feat, model.extract_image_feat(batch)[number], rtol=0, atol=1e-12
        )
        torch.testing.assert_close(
            sample.text_feat, model.extract_text_feat(texts)[number], rtol=0, atol=1e-12
        )
        assert sample.image_feat.shape == (JOINT,)
        assert float(sample.text_feat.detach().norm()) == pytest.approx(1)
    (alone,) = model(batch[:1], mode="predict")
    assert "text_feat" not in alone
    with_text, without = samples(texts[:1])[0], samples(texts[:1])[0].new()
    del without.text_tokens
    mixed = model(batch[:2], [without, with_text], mode="predict")
    assert "text_feat" not in mixed[0]
    torch.testing.assert_close(mixed[1].text_feat, found[0].text_feat)
    image_feat, text_feat = model(batch, samples(texts))
    torch.testing.assert_close(image_feat[2], found[2].image_feat)
    torch.testing.assert_close(text_feat[2], found[2].text_feat)
    assert model(batch)[1] is None


def test_text_is_causal_and_read_at_its_end():
    model, texts = pretrainer(clip_model()), tokens(4)
    features = model.extract_text_feat(texts)
    longer = texts.clone()
    for text, end in zip(longer, texts.argmax(1), strict=True):
        text[end + 1 :] = 7
    torch.testing.assert_close(model.extract_text_feat(longer), features, rtol=0, atol=1e-12)
    longer[:, 1] = 5
    assert bool(((model.extract_text_feat(longer) - features).abs().amax(1) > 1e-3).all())


def test_the_loss_is_the_mean_of_both_cross_entropies():
    model, texts, batch = pretrainer(clip_model()), tokens(5), images(5)
    with torch.no_grad():
        model.logit_scale.fill_(1.3)
    (name, loss), *more = model(batch, samples(texts), mode="loss").items()
    one, other = model.extract_image_feat(batch), model.extract_text_feat(texts)
    similar = (one @ other.T).detach() * math.exp(1.3)
    by_image = [float(similar[n].logsumexp(0) - similar[n, n]) for n in range(5)]
    by_text = [float(similar[:, n].logsumexp(0) - similar[n, n]) for n in range(5)]
    assert (name, more) == ("loss", [])
    assert float(loss.detach()) == pytest.approx(sum(by_image + by_text) / 10, rel=1e-5)


@pytest.mark.parametrize(("given", "kept"), [(9.0, 4.605170), (-2.0, 0.0), (3.0, 3.0)])
def test_the_scale_stays_between_1_and_100(given, kept):
    model = pretrainer(clip_model())
    with torch.no_grad():
        model.logit_scale.fill_(given)
    model(images(2), samples(tokens(2)), mode="loss")
    assert float(model.logit_scale) == pytest.approx(kept, abs=1e-6)


def test_it_learns():
    """Eight pairs by heart, in half precision where autocast has it so."""
    torch.manual_seed(0)
    model = build_classifier(clip_model())
    batch, said = images(8).float(), samples(tokens(8))
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(batch, said, mode="loss")["loss"]
        assert loss.dtype == torch.float32
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert losses[0] > 1.9 and losses[-1] < 0.2
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    "vision",
    [
        resnet_model() | dict(head=dict(in_channels=64)),
        convnext_model() | dict(head=dict(in_channels=64)),
        swin_model() | dict(head=dict(in_channels=64)),
    ],
    ids=lambda vision: vision["backbone"]["type"],
)
def test_any_backbone_is_a_vision_tower(vision):
    model = pretrainer(clip_model(vision=vision))
    assert model.extract_image_feat(images(2, side=64)).shape == (2, JOINT)


# Ranks


def step_of(model, batch, texts) -> dict:
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = model(batch, samples(texts), mode="loss")["loss"]
    loss.backward()
    bare = model.module if isinstance(model, DistributedDataParallel) else model
    gradients = {name: p.grad.clone() for name, p in bare.named_parameters()}
    optimiser.step()
    state = {name: p.detach().clone() for name, p in bare.named_parameters()}
    return dict(loss=float(loss), gradients=gradients, state=state)


def _rank(rank: int, folder: Path, counts: tuple[int, int]) -> None:
    store = torch.distributed.FileStore(str(folder / "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    model = MMDistributedDataParallel(pretrainer(clip_model()).train())
    mine = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
    try:
        done = step_of(model, images(6)[mine], tokens(6)[mine])
    except ValueError as error:
        done = str(error)
    torch.save(done, folder / f"rank{rank}.pth")
    os._exit(0)


def on_two_ranks(folder: Path, counts: tuple[int, int]) -> list:
    fork = multiprocessing.get_context("fork")
    tasks = [fork.Process(target=_rank, args=(rank, folder, counts)) for rank in (0, 1)]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join(60)
        assert task.exitcode == 0
    return [torch.load(folder / f"rank{rank}.pth") for rank in (0, 1)]


def test_two_ranks_do_what_one_does_with_both_batches(tmp_path):
    """Losses are each rank's own rows of the same two tables: their mean is the loss."""
    alone = step_of(pretrainer(clip_model()).train(), images(6), tokens(6))
    both = on_two_ranks(tmp_path, (3, 3))
    assert sum(one["loss"] for one in both) / 2 == pytest.approx(alone["loss"], rel=1e-12)
    assert both[0]["loss"] != both[1]["loss"]
    for one in both:
        for what in ("gradients", "state"):
            for name, wanted in alone[what].items():
                torch.testing.assert_close(one[what][name], wanted, rtol=1e-9, atol=1e-12)
    largest = max(float(g.abs().max()) for g in alone["gradients"].values())
    assert largest > 1e-3 and float(alone["gradients"]["logit_scale"].abs()) > 1e-6


def test_unequal_batches_of_ranks_are_one_error(tmp_path):
    for said in on_two_ranks(tmp_path, (4, 2)):
        assert said.startswith("the ranks have [4, 2] pairs in this batch")


def test_a_pair_alone_has_nothing_to_be_compared_with():
    features = F.normalize(torch.randn(1, 4), dim=-1)
    with pytest.raises(ValueError, match="this one has a single pair: choose batch_size of 2"):
        contrastive_loss(features, features, torch.tensor(1.0))


# mmpretrain's CLIP


@TOKENIZER.register_module(force=True)
class WordTokenizer:
    """One token a word."""

    def get_vocab(self) -> dict:
        return {"<|startoftext|>": VOCAB - 2, "<|endoftext|>": VOCAB - 1}

    def tokenize(self, text: str) -> list[str]:
        return text.split()

    def convert_tokens_to_ids(self, words: list[str]) -> list[int]:
        return [1 + sum(map(ord, word)) % (VOCAB - 3) for word in words]


@pytest.fixture
def clip_class(monkeypatch):
    """mmpretrain's class; without transformers its name is taken by what asks for them."""
    placeholder = MODELS._module_dict.get("CLIPZeroShot")
    if not isinstance(placeholder, type):
        monkeypatch.delitem(MODELS._module_dict, "CLIPZeroShot", raising=False)
    from mmpretrain.models.multimodal.clip.clip import CLIPZeroShot

    return CLIPZeroShot


@pytest.mark.parametrize(
    "backbone",
    [
        {},
        # as OpenAI's are
        dict(pre_norm=True, layer_cfgs=dict(act_cfg=dict(type="QuickGELU"))),
    ],
    ids=["plain", "openai"],
)
@torch.no_grad()
def test_weights_go_to_clip_zero_shot_and_back(clip_class, backbone):
    """The same names and features, and the same prediction from prompts."""
    ours = clip_model()
    ours["backbone"] |= backbone
    classes = ["red fox", "owl", "big grey bat"]
    theirs = clip_zero_shot(ours, dict(type="WordTokenizer"), text_prototype=classes)
    assert theirs.pop("type") == "CLIPZeroShot"
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        clip = randomise(clip_class(**theirs), 3).eval()
    model = build_classifier(ours).eval()
    assert not set(model.state_dict()) ^ set(clip.state_dict())
    model.load_state_dict(clip.state_dict(), strict=True)
    batch, texts = images(4).float(), tokens(4)
    wanted = clip.extract_feat(batch, texts)
    got = model.extract_image_feat(batch), model.extract_text_feat(texts)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    randomise(model, 5).logit_scale.fill_(3)
    clip.load_state_dict(model.state_dict(), strict=True)
    scores = torch.stack([sample.pred_score for sample in clip(batch)])
    prompts = clip.tokenize([f"a photo of a {name}" for name in classes])
    similar = model.extract_image_feat(batch) @ model.extract_text_feat(prompts).T
    own = (model.logit_scale.exp() * similar).softmax(1)
    torch.testing.assert_close(scores, own, rtol=0, atol=1e-6)
    assert float((own[0] - own[1]).abs().max()) > 1e-4 < float(own.std(1).min())


# Bad input


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda t: t[:, :-1], r"texts are \(2, 8\) tokens: wanted \(N, 9\), as .*context_length"),
        (lambda t: t.clamp(max=VOCAB - 2), r"highest token ids of texts are \[38\]: wanted 39"),
        (lambda t: t + (t == VOCAB - 1), r"are \[40\]: wanted 39, the end of text in a vocabulary"),
    ],
)
def test_texts_of_another_tokenizer(changed, message):
    model = pretrainer(clip_model())
    with pytest.raises(ValueError, match=message):
        model.extract_text_feat(changed(tokens(2)))
    assert model.extract_text_feat(tokens(2)).shape == (2, JOINT)


def test_samples_without_texts():
    model = pretrainer(clip_model())
    for nothing in (None, [samples(tokens(1))[0], samples(tokens(1))[0].new()]):
        if nothing:
            del nothing[1].text_tokens
        with pytest.raises(ValueError, match=r"samples without text_tokens: .*rbdc_mm\.Tokenize"):
            model(images(2), nothing, mode="loss")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (clip_model(heads=3), r"width=16 with heads=3; wanted heads that divide"),
        (clip_model(heads=None), r"width=16 with heads=0; wanted .*by default they are 64 wide"),
        (
            clip_model(text_backbone=dict(width=16)),
            r"text_backbone=\{'width': 16\}: wanted width, layers and, if they are not 64 wide",
        ),
        (clip_model(text_backbone=dict(width=16, layers=1, depth=2)), "'depth': 2.*: wanted width"),
        (
            clip_model(projection=dict(out_channels=JOINT)),
            r"projection=\{'out_channels': 12\}: wanted in_channels, those of the backbone",
        ),
    ],
)
def test_parts_that_are_not_complete(model, message):
    with pytest.raises(ValueError, match=message):
        build_classifier(model)


def test_towers_that_give_no_vector():
    model = clip_model()
    model["backbone"]["out_type"] = "raw"
    with pytest.raises(ValueError, match=r"\(VisionTransformer\) gives \(2, 17, 16\): wanted one"):
        pretrainer(model).extract_image_feat(images(2))
    with pytest.raises(ValueError, match="mode='train': wanted 'loss', 'predict' or 'tensor'"):
        pretrainer(clip_model())(images(2), mode="train")
    assert tokens(3).shape == (3, CONTEXT)
