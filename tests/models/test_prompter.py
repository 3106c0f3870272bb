"""AttnPrompter against its equations, restated here in plain loops over floats."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from models.clip import ClipFeatures
from models.config import PrompterConfig
from models.prompter import AttnPrompter, Prompts, global_term, local_term, semantics, similarity, token_mean

C, SAM_WIDTH, SIDE, IMAGES, TOKENS = 5, 6, 4, 2, 4
LENGTHS = (4, 2, 3)  # tokens of each expression that are its own, its end token the last of them
IMAGE_OF = (1, 0, 1)
SCALE, BIAS = 3.7, -0.4

FULL: dict[str, Any] = {}
GLOBAL_ONLY = {"local": False}
LOCAL_ONLY = {"global": False}
TERMS = {"full": FULL, "global_only": GLOBAL_ONLY, "local_only": LOCAL_ONLY}
FORMULATIONS = ("released", "paper")


def make_features(seed: int = 0, side: int = SIDE, *, neutral: bool = False) -> ClipFeatures:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return ClipFeatures(
        visual_BCHW=draw(IMAGES, C, side, side) * 3,
        text_NTC=draw(len(LENGTHS), TOKENS, C) * 2,
        mask_NT=torch.arange(TOKENS) < torch.tensor(LENGTHS).unsqueeze(1),
        sentence_NC=draw(len(LENGTHS), C) * 5,
        scale=torch.tensor(SCALE, dtype=torch.float64),
        bias=torch.tensor(BIAS, dtype=torch.float64),
        neutral_C=draw(C) if neutral else None,
    )


def make_prompter(**terms: Any) -> AttnPrompter:
    """In float64, with statistics and affine parameters of the norms that are not those of a fresh layer."""
    torch.manual_seed(3)
    prompter = AttnPrompter(PrompterConfig.model_validate(terms), clip_width=C, sam_width=SAM_WIDTH).double().eval()
    with torch.no_grad():
        for module in prompter.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                    tensor.copy_(torch.rand_like(tensor) + 0.3)
    return prompter


def make_position(side: int = SIDE) -> Tensor:
    return torch.randn(1, SAM_WIDTH, side, side, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def run(prompter: AttnPrompter, features: ClipFeatures, side: int = SIDE) -> tuple[Prompts, np.ndarray]:
    """The prompts, and what went into the first convolution."""
    seen: list[Tensor] = []
    handle = prompter.fuse[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    with torch.no_grad():
        prompts = prompter(features, torch.tensor(IMAGE_OF), make_position(side))
    handle.remove()
    return prompts, seen[0].numpy()


# --------------------------------------------------------------------------------------------- the equations, in loops


def unit(vector: list[float]) -> list[float]:
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def logit(visual: list[float], text: list[float]) -> float:
    """(v^ . t^) s + b of one patch and one text vector."""
    return sum(a * b for a, b in zip(unit(visual), unit(text), strict=True)) * SCALE + BIAS


def restated_terms(features: ClipFeatures, number: int, formulation: str = "released") -> dict[str, np.ndarray]:
    """local, global, v (C, H, W), G and the mean token logit (H, W) of one expression."""
    visual = features.visual_BCHW[IMAGE_OF[number]].numpy()
    tokens = [token.tolist() for token in features.text_NTC[number][: LENGTHS[number]]]
    sentence = features.sentence_NC[number].tolist()
    if formulation == "paper":
        sentence = tokens.pop()  # the end of the text speaks for all of it, and for nothing else
    side = visual.shape[1]
    out = {name: np.zeros((C, side, side)) for name in ("local", "global", "v")}
    out |= {name: np.zeros((side, side)) for name in ("G", "mean_L")}
    for row in range(side):
        for column in range(side):
            v = [float(visual[channel, row, column]) for channel in range(C)]
            L = [logit(v, token) for token in tokens]
            G = logit(v, sentence)
            a_g = sigmoid(G)
            out["G"][row, column] = G
            out["mean_L"][row, column] = sum(L) / len(L)
            for channel in range(C):
                attended = sum(sigmoid(L_d) * v[channel] for L_d in L) / len(L)
                released = (v[channel] + attended) / 2
                out["local"][channel, row, column] = attended if formulation == "paper" else released
                out["global"][channel, row, column] = a_g * v[channel]
                out["v"][channel, row, column] = v[channel]
    return out


def restated_conv(x: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """A convolution without bias; a 3 x 3 one is padded by one."""
    outputs, inputs, kernel, _ = weight.shape
    pad, height = kernel // 2, x.shape[1]
    side = (height + 2 * pad - kernel) // stride + 1
    out = np.zeros((outputs, side, side))
    for o, row, column, i, a, b in np.ndindex(outputs, side, side, inputs, kernel, kernel):
        y, z = row * stride + a - pad, column * stride + b - pad
        if 0 <= y < height and 0 <= z < height:
            out[o, row, column] += weight[o, i, a, b] * x[i, y, z]
    return out


def restated_block(x: np.ndarray, block: torch.nn.Module, stride: int) -> np.ndarray:
    """GELU(BN(conv(x))), the norm by its running statistics."""
    conv, norm = block[0], block[1]  # type: ignore[index]
    x = restated_conv(x, conv.weight.detach().numpy(), stride)
    for channel in range(len(x)):
        deviation = math.sqrt(norm.running_var[channel].item() + 1e-5)
        x[channel] = (x[channel] - norm.running_mean[channel].item()) / deviation
        x[channel] = x[channel] * norm.weight[channel].item() + norm.bias[channel].item()
    return np.vectorize(lambda value: 0.5 * value * (1 + math.erf(value / math.sqrt(2))))(x)


def restated_sparse(prompter: AttnPrompter, fused: np.ndarray) -> np.ndarray:
    """From the concatenated terms to M x SAM_WIDTH sparse prompts, in row-major order of the positions."""
    x = restated_block(fused, prompter.fuse, 1) + make_position()[0].numpy()
    for block in prompter.shrink:
        x = restated_block(x, block, 2)
    x = restated_conv(x, prompter.project.weight.detach().numpy(), 1)
    x = x + prompter.project.bias.detach().numpy()[:, None, None]
    rows = [[x[c, i, j] for c in range(SAM_WIDTH)] for i in range(x.shape[1]) for j in range(x.shape[2])]
    return np.array(rows)


# ----------------------------------------------------------------------------------------------------------- the tests


def test_L_d_is_the_scaled_cosine_of_every_token_with_every_patch() -> None:
    features = make_features()
    L = similarity(features, normalize(features.visual_BCHW[list(IMAGE_OF)], dim=1), features.text_NTC)
    assert L.shape == (len(LENGTHS), TOKENS, SIDE, SIDE)
    for n, d, i, j in np.ndindex(*L.shape):
        visual = features.visual_BCHW[IMAGE_OF[n], :, i, j].tolist()
        assert L[n, d, i, j].item() == pytest.approx(logit(visual, features.text_NTC[n, d].tolist()), abs=1e-12)


def test_with_a_neutral_caption_a_logit_is_what_a_patch_prefers_the_text_by() -> None:
    features = make_features(neutral=True)
    assert features.neutral_C is not None
    L = similarity(features, normalize(features.visual_BCHW[list(IMAGE_OF)], dim=1), features.text_NTC)
    for n, d, i, j in np.ndindex(*L.shape):
        visual = features.visual_BCHW[IMAGE_OF[n], :, i, j].tolist()
        preferred = logit(visual, features.text_NTC[n, d].tolist()) - logit(visual, features.neutral_C.tolist())
        assert L[n, d, i, j].item() == pytest.approx(preferred, abs=1e-12)


def test_each_term_follows_its_equation() -> None:
    v, token, mask = torch.tensor([[2.0]]), torch.tensor([0.5, -1.0, 9.0]), torch.tensor([[True, True, False]])
    mean = (sigmoid(0.5) + sigmoid(-1.0)) / 2
    v, token = v[..., None, None], token[None, :, None, None]
    local = token_mean(token.sigmoid(), mask)
    assert local.item() == pytest.approx(mean)
    assert local_term(v, local, "released").item() == pytest.approx((2 + mean * 2) / 2)
    assert local_term(v, local, "paper").item() == pytest.approx(mean * 2)
    assert global_term(v, token[:, 0].sigmoid()).item() == pytest.approx(sigmoid(0.5) * 2)
    assert token_mean(token, mask).item() == pytest.approx(-0.25)


def test_the_paper_s_sentence_is_the_end_token_which_its_local_semantics_leave_out() -> None:
    features = make_features()
    sentence, local = semantics(features, "released")
    assert sentence is features.sentence_NC
    assert local is features.mask_NT
    sentence, local = semantics(features, "paper")
    for number, length in enumerate(LENGTHS):
        assert torch.equal(sentence[number], features.text_NTC[number, length - 1])
        assert local[number].tolist() == [token < length - 1 for token in range(TOKENS)]
    assert features.mask_NT.sum(1).tolist() == list(LENGTHS)  # nothing was changed in place


def test_the_first_convolution_reads_the_local_and_the_global_term_if_on_and_v_in_this_order(
    subtests: pytest.Subtests,
) -> None:
    features = make_features()
    read = {"full": ("local", "global", "v"), "global_only": ("global", "v"), "local_only": ("local", "v")}
    for formulation, (variant, terms) in product(FORMULATIONS, TERMS.items()):
        with subtests.test(variant, formulation=formulation):
            prompter = make_prompter(formulation=formulation, **terms)
            assert prompter.fuse[0].in_channels == len(read[variant]) * C  # a term that is off is not built
            _, fused = run(prompter, features)
            for number in range(len(LENGTHS)):
                expected = restated_terms(features, number, formulation)
                for position, name in enumerate(read[variant]):
                    np.testing.assert_allclose(
                        fused[number, position * C : (position + 1) * C], expected[name], atol=1e-12, err_msg=name
                    )


def test_sparse_prompts_follow_the_equations_to_the_end(subtests: pytest.Subtests) -> None:
    for variant, downsample in (("full", 2), ("full", 4), ("full", 8), ("global_only", 4), ("local_only", 4)):
        with subtests.test(variant, downsample=downsample):
            prompter = make_prompter(downsample=downsample, **TERMS[variant])
            prompts, fused = run(prompter, make_features())
            for number in range(len(LENGTHS)):
                expected = restated_sparse(prompter, fused[number])
                np.testing.assert_allclose(prompts.sparse_NMC[number].numpy(), expected, atol=1e-10)


def test_the_heat_map_is_G_as_logits_and_of_local_only_the_mean_logit_of_its_local_semantics(
    subtests: pytest.Subtests,
) -> None:
    features = make_features()
    shown = {"full": "G", "global_only": "G", "local_only": "mean_L"}
    for formulation, (variant, terms) in product(FORMULATIONS, TERMS.items()):
        with subtests.test(variant, formulation=formulation):
            heat = run(make_prompter(formulation=formulation, **terms), features)[0].heat_NHW
            assert heat is not None
            for number in range(len(LENGTHS)):
                expected = restated_terms(features, number, formulation)[shown[variant]]
                np.testing.assert_allclose(heat[number].numpy(), expected, atol=1e-12)


def test_what_stands_in_the_padding_never_matters(subtests: pytest.Subtests) -> None:
    features = make_features()
    noisy = torch.where(features.mask_NT.unsqueeze(-1), features.text_NTC, 1e3 * torch.randn_like(features.text_NTC))
    assert not torch.equal(noisy, features.text_NTC)
    for formulation, (variant, terms) in product(FORMULATIONS, TERMS.items()):
        with subtests.test(variant, formulation=formulation):
            prompter = make_prompter(formulation=formulation, **terms)
            one, fused_one = run(prompter, features)
            other, fused_other = run(prompter, replace(features, text_NTC=noisy))
            np.testing.assert_array_equal(fused_one, fused_other)
            assert torch.equal(one.sparse_NMC, other.sparse_NMC)
            assert torch.equal(one.heat_NHW, other.heat_NHW)  # type: ignore[arg-type]


def test_the_expression_s_own_tokens_or_sentence_matter(subtests: pytest.Subtests) -> None:
    features, other = make_features(), make_features(seed=1)
    changed = replace(features, text_NTC=other.text_NTC, sentence_NC=other.sentence_NC)
    for variant, terms in TERMS.items():
        with subtests.test(variant):
            prompter = make_prompter(**terms)
            assert (run(prompter, features)[0].sparse_NMC - run(prompter, changed)[0].sparse_NMC).abs().amax() > 1e-4


def test_there_are_M_sparse_prompts_of_the_downsampled_grid(subtests: pytest.Subtests) -> None:
    for side, downsample, sparse in ((8, 4, 4), (8, 2, 16), (8, 8, 1), (27, 4, 49)):  # 27: the released grid
        with subtests.test(side=side, downsample=downsample):
            terms = {} if downsample == 4 else {"downsample": downsample}  # 4 is the default
            prompts, _ = run(make_prompter(**terms), make_features(side=side), side=side)
            assert prompts.sparse_NMC.shape == (len(LENGTHS), sparse, SAM_WIDTH)


def test_the_paper_s_grid_of_24_cells_gives_36_prompts_and_a_heat_map_of_its_size(subtests: pytest.Subtests) -> None:
    for side, grid in ((27, 24), (16, 24), (24, None)):
        with subtests.test(side=side, grid=grid):
            prompter = make_prompter(grid=grid, formulation="paper")
            with torch.no_grad():
                prompts = prompter(make_features(side=side), torch.tensor(IMAGE_OF), make_position(24))
            assert prompts.sparse_NMC.shape == (len(LENGTHS), 36, SAM_WIDTH)
            assert prompts.heat_NHW is not None
            assert prompts.heat_NHW.shape == (len(LENGTHS), 24, 24)


def test_another_grid_is_the_map_resized_before_the_words_filter_it() -> None:
    features = make_features(side=8)
    resized = replace(features, visual_BCHW=interpolate(features.visual_BCHW, size=(SIDE, SIDE), mode="bilinear"))
    with torch.no_grad():
        prompts = make_prompter(grid=SIDE)(features, torch.tensor(IMAGE_OF), make_position())
        expected = make_prompter()(resized, torch.tensor(IMAGE_OF), make_position())
    assert torch.equal(prompts.sparse_NMC, expected.sparse_NMC)
    assert torch.equal(prompts.heat_NHW, expected.heat_NHW)


def test_dense_off_gives_no_heat_map_and_the_same_sparse_prompts() -> None:
    with_dense, _ = run(make_prompter(), make_features())
    without, _ = run(make_prompter(dense=False), make_features())
    assert without.heat_NHW is None
    assert torch.equal(with_dense.sparse_NMC, without.sparse_NMC)


def test_norms_use_and_keep_their_running_statistics_in_eval_mode() -> None:
    prompter, features = make_prompter(), make_features()
    before = {name: value.clone() for name, value in prompter.state_dict().items()}
    together, _ = run(prompter, features)
    for number in range(len(LENGTHS)):
        alone = replace(
            features,
            text_NTC=features.text_NTC[[number]],
            mask_NT=features.mask_NT[[number]],
            sentence_NC=features.sentence_NC[[number]],
        )
        with torch.no_grad():
            prompts = prompter(alone, torch.tensor([IMAGE_OF[number]]), make_position())
        torch.testing.assert_close(prompts.sparse_NMC[0], together.sparse_NMC[number], rtol=0, atol=1e-12)
    assert all(torch.equal(before[name], value) for name, value in prompter.state_dict().items())
