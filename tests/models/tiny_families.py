"""One tiny model of every family that is claimed: the real classes, a processor built here.

Processors that take torchvision for videos alone are built without that part. Where a family's own
takes it for images and it is not installed, one whose layout the model reads alike stands in:
LightOnOCR's for Mistral 3, Aya Vision's for Command A Vision, InternVL's for Llama 4, and for the
images of LFM2-VL one on PIL. FastVLM's tower takes timm, so a ConvNeXt stands in, which gives
feature maps like it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
import transformers as hf
from tiled_patches import TiledPatchesImageProcessor
from tiny_models import LLAVA_TEMPLATE, Tiny, make_llava, make_tokenizer, sharpen

from bye_lint.models.processors import without_video as images_only

WIDTH = 32

#: Whether the processors that take torchvision for images can be had; others stand in otherwise.
TORCHVISION = find_spec("torchvision") is not None


def template(image: str, start: str = "<|{role}|>\n", end: str = "\n") -> str:
    """Return a chat template that keeps parts in order and names roles."""
    before, after = start.split("{role}")
    return (
        "{% for message in messages %}"
        f"{{{{ {before!r} + message['role'] + {after!r} }}}}"
        "{% for content in message['content'] %}"
        f"{{% if content['type'] == 'image' %}}{{{{ {image!r} }}}}"
        "{% else %}{{ content['text'] }}{% endif %}{% endfor %}"
        f"{{{{ {end!r} }}}}"
        "{% endfor %}{% if add_generation_prompt %}"
        f"{{{{ {before!r} + 'assistant' + {after!r} }}}}"
        "{% endif %}"
    )


def text_config(cls: Any, tokenizer: Any, **options: Any) -> Any:
    """Return a decoder of three narrow layers with grouped heads."""
    return cls(
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": WIDTH,
            "intermediate_size": 2 * WIDTH,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 1024,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            **options,
        }
    )


def tower(cls: Any, size: int = 24, patch: int = 6, **options: Any) -> Any:
    """Return a vision tower of two narrow layers."""
    return cls(
        **{
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": size,
            "patch_size": patch,
            **options,
        }
    )


def square(size: int) -> dict[str, int]:
    return {"height": size, "width": size}


def without_video(cls: Any, *args: Any, **kwargs: Any) -> Any:
    """Build a processor whose video part would take torchvision."""
    return images_only(cls)(*args, **kwargs)


def vipllava() -> Tiny:
    tokenizer = make_tokenizer(["<image>"])
    processor = hf.LlavaProcessor(
        hf.CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size=square(24)),
        tokenizer,
        patch_size=6,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )
    config = hf.VipLlavaConfig(
        vision_config=tower(hf.CLIPVisionConfig),
        text_config=text_config(hf.LlamaConfig, tokenizer),
        image_token_index=processor.image_token_id,
        vision_feature_layer=(-1, -2),
    )
    return Tiny(hf.VipLlavaForConditionalGeneration(config), processor)


def llava_next() -> Tiny:
    tokenizer = make_tokenizer(["<image>"])
    pinpoints = [[24, 48], [48, 24], [48, 48]]
    processor = hf.LlavaNextProcessor(
        hf.LlavaNextImageProcessorPil(
            size={"shortest_edge": 24}, crop_size=square(24), image_grid_pinpoints=pinpoints
        ),
        tokenizer,
        patch_size=6,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )
    config = hf.LlavaNextConfig(
        vision_config=tower(hf.CLIPVisionConfig),
        text_config=text_config(hf.MistralConfig, tokenizer, sliding_window=None),
        image_token_index=processor.image_token_id,
        image_grid_pinpoints=pinpoints,
    )
    return Tiny(hf.LlavaNextForConditionalGeneration(config), processor)


def granite4_vision() -> Tiny:
    tokenizer = make_tokenizer(["<image>"])
    pinpoints = [[24, 48], [48, 24], [48, 48]]
    processor = hf.Granite4VisionProcessor(
        hf.LlavaNextImageProcessorPil(
            size={"shortest_edge": 24}, crop_size=square(24), image_grid_pinpoints=pinpoints
        ),
        tokenizer,
        patch_size=6,
        vision_feature_select_strategy="full",
        downsample_rate="1/2",
        chat_template=template("<image>", "<|{role}|>"),
    )
    text = {
        "num_hidden_layers": 6,
        "embedding_multiplier": 1.5,
        "attention_multiplier": 0.3,
        "residual_multiplier": 0.7,
        "logits_scaling": 2.0,
    }
    config = hf.Granite4VisionConfig(
        # the Q-Former has a head of 64 of the tower's width
        vision_config=tower(hf.SiglipVisionConfig, hidden_size=64, vision_use_head=False),
        text_config=text_config(hf.Granite4VisionTextConfig, tokenizer, **text),
        qformer_config={"num_hidden_layers": 1, "intermediate_size": 32},
        image_token_index=processor.image_token_id,
        image_grid_pinpoints=pinpoints,
        vision_feature_select_strategy="full",
        downsample_rate="1/2",
        deepstack_layer_map=[[-2, 0], [-1, 1]],
        spatial_target_layers=[2, 3, 4, 5],
    )
    return Tiny(hf.Granite4VisionForConditionalGeneration(config), processor)


def llava_onevision() -> Tiny:
    tokenizer = make_tokenizer(["<image>", "<video>"])
    pinpoints = [[24, 48], [48, 24], [48, 48]]
    processor = without_video(
        hf.LlavaOnevisionProcessor,
        hf.LlavaOnevisionImageProcessorPil(size=square(24), image_grid_pinpoints=pinpoints),
        tokenizer,
        None,
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=template("<image>"),
    )
    config = hf.LlavaOnevisionConfig(
        vision_config=tower(hf.SiglipVisionConfig, vision_use_head=False),
        text_config=text_config(hf.Qwen2Config, tokenizer),
        image_token_index=processor.image_token_id,
        video_token_index=processor.video_token_id,
        image_grid_pinpoints=pinpoints,
    )
    return Tiny(hf.LlavaOnevisionForConditionalGeneration(config), processor)


QWEN = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]
QWEN_TEMPLATE = template(
    "<|vision_start|><|image_pad|><|vision_end|>", "<|im_start|>{role}\n", "<|im_end|>\n"
)


def qwen(
    name: str, patch: int = 8, *, text: dict[str, Any], processor: Any = "", **vision: Any
) -> Tiny:
    """Qwen's vision-language models: patches in a grid, multimodal rotary positions."""
    tokenizer = make_tokenizer([*QWEN, "<|video_pad|>"], bos="<|im_start|>")
    images = hf.Qwen2VLImageProcessorPil(
        patch_size=patch,
        size={"shortest_edge": 4 * patch * patch * 4, "longest_edge": 4 * patch * patch * 16},
    )
    processor = without_video(
        getattr(hf, f"{processor or name}Processor"),
        images,
        tokenizer,
        None,
        chat_template=QWEN_TEMPLATE,
    )
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
    token = tokenizer.convert_tokens_to_ids
    config = getattr(hf, f"{name}Config")(
        vision_config={"patch_size": patch, **vision},
        text_config=text_config(
            dict, tokenizer, **{"rope_parameters": rope, "head_dim": 8, **text}
        ),
        image_token_id=processor.image_token_id,
        video_token_id=processor.video_token_id,
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
    )
    return Tiny(getattr(hf, f"{name}ForConditionalGeneration")(config), processor)


def qwen2_vl() -> Tiny:
    return qwen(
        "Qwen2VL", text={}, depth=2, embed_dim=16, hidden_size=WIDTH, num_heads=2, mlp_ratio=2
    )


def qwen2_5_vl() -> Tiny:
    return qwen(
        "Qwen2_5_VL",
        text={},
        depth=2,
        hidden_size=16,
        intermediate_size=32,
        num_heads=2,
        out_hidden_size=WIDTH,
        window_size=32,
        fullatt_block_indexes=[1],
    )


QWEN3_VISION = {
    "depth": 2,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_heads": 2,
    "out_hidden_size": WIDTH,
    "num_position_embeddings": 64,
}


def qwen3_vl() -> Tiny:
    return qwen("Qwen3VL", text={}, **QWEN3_VISION, deepstack_visual_indexes=[0])


def qwen3_vl_moe() -> Tiny:
    text = {"moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2}
    return qwen(
        "Qwen3VLMoe", processor="Qwen3VL", text=text, **QWEN3_VISION, deepstack_visual_indexes=[0]
    )


def qwen3_5() -> Tiny:
    text = {
        "layer_types": ["linear_attention", "full_attention", "linear_attention", "full_attention"],
        "num_hidden_layers": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [2, 1, 1],
            "partial_rotary_factor": 1.0,
        },
    }
    return qwen("Qwen3_5", processor="Qwen3VL", text=text, **QWEN3_VISION)


def video_llama_3() -> Tiny:
    tokenizer = make_tokenizer(["<|im_start|>", "<|image_pad|>", "<|video_pad|>"])
    processor = without_video(
        hf.VideoLlama3Processor,
        hf.VideoLlama3ImageProcessorPil(patch_size=8, min_pixels=256, max_pixels=4096),
        tokenizer,
        None,
        chat_template=template("<|image_pad|>", "<|im_start|>{role}\n"),
    )
    config = hf.VideoLlama3Config(
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "patch_size": 8,
        },
        text_config=text_config(hf.Qwen2Config, tokenizer),
        image_token_id=processor.image_token_id,
        video_token_id=processor.video_token_id,
    )
    return Tiny(hf.VideoLlama3ForConditionalGeneration(config), processor)


def glm(name: str, text: dict[str, Any], **vision: Any) -> Tiny:
    tokens = ["[gMASK]", "<|begin_of_image|>", "<|end_of_image|>", "<|image|>", "<|video|>"]
    tokens += ["<|begin_of_video|>", "<|end_of_video|>"]
    tokenizer = make_tokenizer(tokens)
    processor = without_video(
        getattr(hf, f"{name}Processor"),
        getattr(hf, f"{name}ImageProcessorPil")(
            patch_size=8, size={"shortest_edge": 512, "longest_edge": 16384}
        ),
        tokenizer,
        None,
        chat_template="[gMASK]" + template("<|begin_of_image|><|image|><|end_of_image|>"),
    )
    token = tokenizer.convert_tokens_to_ids
    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [2, 1, 1],
        "partial_rotary_factor": 1.0,
    }
    config = getattr(hf, f"{name}Config")(
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_heads": 2,
            "image_size": 32,
            "patch_size": 8,
            "out_hidden_size": WIDTH,
            **vision,
        },
        text_config=text_config(dict, tokenizer, rope_parameters=rope, **text),
        image_token_id=processor.image_token_id,
        video_token_id=processor.video_token_id,
        image_start_token_id=token("<|begin_of_image|>"),
        image_end_token_id=token("<|end_of_image|>"),
        video_start_token_id=token("<|begin_of_video|>"),
        video_end_token_id=token("<|end_of_video|>"),
    )
    return Tiny(getattr(hf, f"{name}ForConditionalGeneration")(config), processor)


def internvl() -> Tiny:
    names = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = make_tokenizer(["<|im_start|>", "<|im_end|>"], named=names)
    processor = without_video(
        hf.InternVLProcessor,
        hf.GotOcr2ImageProcessorPil(
            size=square(24), crop_to_patches=True, min_patches=1, max_patches=4
        ),
        tokenizer,
        None,
        image_seq_length=4,
        chat_template=template("<IMG_CONTEXT>\n", "<|im_start|>{role}\n", "<|im_end|>\n"),
    )
    config = hf.InternVLConfig(
        vision_config=tower(hf.InternVLVisionConfig, size=[24, 24], patch=[6, 6]),
        text_config=text_config(hf.Qwen2Config, tokenizer),
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=4,
    )
    return Tiny(hf.InternVLForConditionalGeneration(config), processor)


IDEFICS = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"]
IDEFICS += [f"<row_{r}_col_{c}>" for r in range(1, 7) for c in range(1, 7)]


def idefics3() -> Tiny:
    tokenizer = make_tokenizer(IDEFICS)
    processor = hf.Idefics3Processor(
        hf.Idefics3ImageProcessorPil(
            size={"longest_edge": 48}, max_image_size={"longest_edge": 24}, do_image_splitting=True
        ),
        tokenizer,
        image_seq_len=4,
        chat_template=template("<image>", "{role}:", "<end_of_utterance>\n"),
    )
    config = hf.Idefics3Config(
        vision_config=tower(hf.Idefics3VisionConfig),
        text_config=text_config(hf.LlamaConfig, tokenizer),
        image_token_id=processor.image_token_id,
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Tiny(hf.Idefics3ForConditionalGeneration(config), processor)


def smolvlm() -> Tiny:
    tokenizer = make_tokenizer([*IDEFICS, "<video>"])
    processor = without_video(
        hf.SmolVLMProcessor,
        hf.SmolVLMImageProcessorPil(
            size={"longest_edge": 48}, max_image_size={"longest_edge": 24}, do_image_splitting=True
        ),
        tokenizer,
        None,
        image_seq_len=4,
        chat_template=template("<image>", "{role}:", "<end_of_utterance>\n"),
    )
    config = hf.SmolVLMConfig(
        vision_config=tower(hf.SmolVLMVisionConfig),
        text_config=text_config(hf.LlamaConfig, tokenizer),
        image_token_id=processor.image_token_id,
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Tiny(hf.SmolVLMForConditionalGeneration(config), processor)


def idefics2() -> Tiny:
    tokenizer = make_tokenizer(["<fake_token_around_image>", "<image>", "<end_of_utterance>"])
    processor = hf.Idefics2Processor(
        hf.Idefics2ImageProcessorPil(
            size={"shortest_edge": 18, "longest_edge": 24}, do_image_splitting=False
        ),
        tokenizer,
        image_seq_len=6,
        chat_template=template("<image>", "{role}:", "<end_of_utterance>\n"),
    )
    config = hf.Idefics2Config(
        vision_config=tower(hf.Idefics2VisionConfig),
        perceiver_config={
            "hidden_size": WIDTH,
            "resampler_n_latents": 6,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 8,
            "num_key_value_heads": 1,
        },
        text_config=text_config(hf.MistralConfig, tokenizer, sliding_window=None),
        image_token_id=processor.image_token_id,
    )
    return Tiny(hf.Idefics2ForConditionalGeneration(config), processor)


def gemma3() -> Tiny:
    names = {
        "image_token": "<image_soft_token>",
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
    }
    tokenizer = make_tokenizer(["<start_of_turn>", "<end_of_turn>"], named=names)
    processor = hf.Gemma3Processor(
        hf.Gemma3ImageProcessorPil(size=square(24)),
        tokenizer,
        image_seq_length=4,
        chat_template="{{ bos_token }}"
        + template("<start_of_image>", "<start_of_turn>{role}\n", "<end_of_turn>\n"),
    )
    text = {
        "head_dim": 8,
        "num_hidden_layers": 4,
        "sliding_window": 40,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "query_pre_attn_scalar": 8,
        "attn_logit_softcapping": None,
    }
    config = hf.Gemma3Config(
        vision_config=tower(hf.SiglipVisionConfig, vision_use_head=False).to_dict(),
        text_config=text_config(hf.Gemma3TextConfig, tokenizer, **text),
        image_token_index=tokenizer.image_token_id,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        mm_tokens_per_image=4,
    )
    return Tiny(hf.Gemma3ForConditionalGeneration(config), processor)


def paligemma() -> Tiny:
    tokenizer = make_tokenizer([], named={"image_token": "<image>"})
    images = hf.SiglipImageProcessorPil(size=square(24))
    images.image_seq_length = 16
    processor = hf.PaliGemmaProcessor(images, tokenizer)
    config = hf.PaliGemmaConfig(
        vision_config=tower(hf.SiglipVisionConfig, vision_use_head=False, projection_dim=WIDTH),
        text_config=text_config(
            hf.Gemma2Config,
            tokenizer,
            head_dim=8,
            query_pre_attn_scalar=8,
            attn_logit_softcapping=2.0,
            sliding_window=4096,
        ),
        image_token_index=processor.image_token_id,
        vocab_size=len(tokenizer),
        projection_dim=WIDTH,
        hidden_size=WIDTH,
    )
    return Tiny(hf.PaliGemmaForConditionalGeneration(config), processor)


def pixtral_processor() -> Any:
    names = ["[IMG]", "[IMG_BREAK]", "[IMG_END]"]
    tokenizer = make_tokenizer(names, named={"image_token": names[0]})
    return hf.PixtralProcessor(
        hf.PixtralImageProcessor(size={"longest_edge": 32}, patch_size=8),
        tokenizer,
        patch_size=4,
        spatial_merge_size=2,
        chat_template=template("[IMG]", "[{role}]"),
    )


def mistral3() -> Tiny:
    processor = pixtral_processor() if TORCHVISION else lighton_processor()
    config = hf.Mistral3Config(
        vision_config=tower(hf.PixtralVisionConfig, size=32, patch=4, head_dim=8),
        text_config=text_config(
            hf.MistralConfig, processor.tokenizer, head_dim=8, sliding_window=None
        ),
        image_token_index=processor.tokenizer.image_token_id,
        spatial_merge_size=2,
    )
    return Tiny(hf.Mistral3ForConditionalGeneration(config), processor)


def aya_vision() -> Tiny:
    tokens = [
        "<image>",
        "<|START_OF_IMG|>",
        "<|END_OF_IMG|>",
        "<|IMG_PATCH|>",
        "<|IMG_LINE_BREAK|>",
    ]
    tokenizer = make_tokenizer([*tokens, "TILE", "TILE_GLOBAL"])
    processor = hf.AyaVisionProcessor(
        hf.GotOcr2ImageProcessorPil(
            size=square(24), crop_to_patches=True, min_patches=1, max_patches=4
        ),
        tokenizer,
        patch_size=6,
        img_size=24,
        downsample_factor=2,
        chat_template=template("<image>"),
    )
    config = hf.AyaVisionConfig(
        vision_config=tower(hf.SiglipVisionConfig, vision_use_head=False),
        text_config=text_config(
            hf.Cohere2Config, tokenizer, head_dim=8, sliding_window=4096, logit_scale=1.0
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        downsample_factor=2,
    )
    return Tiny(hf.AyaVisionForConditionalGeneration(config), processor)


def cohere2_processor() -> Any:
    names = {
        "image_token": "<|IMG_PATCH|>",
        "boi_token": "<|START_OF_IMG|>",
        "eoi_token": "<|END_OF_IMG|>",
        "img_line_break_token": "<|IMG_LINE_BREAK|>",
    }
    return hf.Cohere2VisionProcessor(
        hf.Cohere2VisionImageProcessor(size=square(24), max_patches=4, patch_size=2),
        make_tokenizer([], named=names),
        chat_template=template("<|IMG_PATCH|>"),
    )


def cohere2_vision() -> Tiny:
    processor = cohere2_processor() if TORCHVISION else aya_vision().processor
    config = hf.Cohere2VisionConfig(
        vision_config=tower(hf.SiglipVisionConfig, vision_use_head=False).to_dict(),
        text_config=text_config(
            hf.Cohere2Config,
            processor.tokenizer,
            num_hidden_layers=4,
            head_dim=8,
            sliding_window=64,
            logit_scale=1.0,
        ).to_dict(),
        image_token_id=processor.tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        downsample_factor=2,
        alignment_intermediate_size=32,
    )
    return Tiny(hf.Cohere2VisionForConditionalGeneration(config), processor)


def fast_vlm() -> Tiny:
    tokenizer = make_tokenizer(["<image>"])
    processor = hf.LlavaProcessor(
        hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=square(32)),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
        chat_template=LLAVA_TEMPLATE,
    )
    vision = hf.ConvNextConfig(
        patch_size=4, hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, image_size=32
    )
    config = hf.FastVlmConfig(
        vision_config={**vision.to_dict(), "hidden_size": 16},
        text_config=text_config(hf.Qwen2Config, tokenizer).to_dict(),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
    )
    return Tiny(hf.FastVlmForConditionalGeneration(config), processor)


def llama4_processor() -> Any:
    parts = ["image_start", "image_end", "patch", "tile_x_separator", "tile_y_separator"]
    tokens = [f"<|{part}|>" for part in (*parts, "image", "header_start", "header_end", "eot")]
    return hf.Llama4Processor(
        hf.Llama4ImageProcessor(size=square(24), max_patches=4),
        make_tokenizer(tokens),
        patch_size=6,
    )


def llama4() -> Tiny:
    processor = llama4_processor() if TORCHVISION else internvl().processor
    tokenizer = processor.tokenizer
    patch = "<|patch|>" if TORCHVISION else "<IMG_CONTEXT>"
    config = hf.Llama4Config(
        vision_config=tower(
            hf.Llama4VisionConfig,
            vision_output_dim=16,
            projector_input_dim=16,
            projector_output_dim=16,
            intermediate_size=64,
        ).to_dict(),
        text_config=text_config(
            hf.Llama4TextConfig,
            tokenizer,
            num_hidden_layers=4,
            head_dim=8,
            intermediate_size_mlp=2 * WIDTH,
            num_local_experts=2,
            interleave_moe_layer_step=2,
            attention_chunk_size=64,
        ).to_dict(),
        image_token_index=tokenizer.convert_tokens_to_ids(patch),
    )
    return Tiny(hf.Llama4ForConditionalGeneration(config), processor)


def ovis2() -> Tiny:
    names = ["<IMG_ATOM>", "<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"]
    tokenizer = make_tokenizer([*names, "<image>"])
    ids = tokenizer.convert_tokens_to_ids(names)
    processor = hf.Ovis2Processor(
        hf.Ovis2ImageProcessorPil(size=square(24), crop_to_patches=True, max_patches=4),
        tokenizer,
        image_seq_length=4,
        chat_template=template("<image>"),
    )
    config = hf.Ovis2Config(
        vision_config=tower(
            hf.Ovis2VisionConfig, vocab_size=40, hidden_stride=2, num_visual_indicator_tokens=5
        ),
        text_config=text_config(hf.Qwen2Config, tokenizer),
        image_token_id=ids[0],
        visual_indicator_token_ids=ids[1:],
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
    )
    return Tiny(hf.Ovis2ForConditionalGeneration(config), processor)


def got_ocr2() -> Tiny:
    tokens = ["<img>", "</img>", "<imgpad>", "<|im_start|>", "<|im_end|>"]
    tokenizer = make_tokenizer(tokens)
    processor = hf.GotOcr2Processor(
        hf.GotOcr2ImageProcessorPil(size=square(1024)),
        tokenizer,
        chat_template=template("<img><imgpad></img>", "<|im_start|>{role}\n", "<|im_end|>\n"),
    )
    config = hf.GotOcr2Config(
        vision_config=tower(
            hf.GotOcr2VisionConfig,
            size=1024,
            patch=16,
            output_channels=16,
            mlp_dim=32,
            window_size=8,
            global_attn_indexes=[],
            initializer_range=0.02,
        ),
        text_config=text_config(hf.Qwen2Config, tokenizer),
        image_token_index=processor.image_token_id,
        image_seq_length=256,
    )
    return Tiny(hf.GotOcr2ForConditionalGeneration(config), processor)


def deepseek_vl() -> Tiny:
    tokenizer = make_tokenizer([], named={"image_token": "<image_placeholder>"})
    processor = hf.DeepseekVLProcessor(
        hf.DeepseekVLImageProcessorPil(size=square(24), min_size=6),
        tokenizer,
        chat_template=template("<image_placeholder>", "{role}: "),
        num_image_tokens=16,
    )
    config = hf.DeepseekVLConfig(
        vision_config=tower(hf.SiglipVisionConfig, vision_use_head=False),
        text_config=text_config(hf.LlamaConfig, tokenizer),
        image_token_id=processor.image_token_id,
    )
    return Tiny(hf.DeepseekVLForConditionalGeneration(config), processor)


def lighton_processor() -> Any:
    names = {"image_token": "<|image_pad|>", "image_break_token": "<|vision_pad|>"}
    names["image_end_token"] = "<|vision_end|>"
    tokenizer = make_tokenizer(["<|im_start|>"], named=names)
    return hf.LightOnOcrProcessor(
        hf.PixtralImageProcessorPil(size={"longest_edge": 32}, patch_size=8),
        tokenizer,
        patch_size=4,
        spatial_merge_size=2,
        chat_template=template("<|image_pad|>", "<|im_start|>{role}\n"),
    )


def lighton_ocr() -> Tiny:
    processor = lighton_processor()
    tokenizer = processor.tokenizer
    config = hf.LightOnOcrConfig(
        vision_config=tower(hf.PixtralVisionConfig, size=32, patch=4, head_dim=8),
        text_config=text_config(hf.Qwen3Config, tokenizer, head_dim=8),
        image_token_id=tokenizer.image_token_id,
        spatial_merge_size=2,
    )
    return Tiny(hf.LightOnOcrForConditionalGeneration(config), processor)


LFM2 = ["<|im_start|>", "<|im_end|>", "<image>", "<|image_start|>", "<|image_end|>"]
LFM2 += ["<|img_thumbnail|>", *(f"<|img_row_{r}_col_{c}|>" for r in (1, 2, 3) for c in (1, 2, 3))]


def lfm2_images() -> Any:
    """Return LFM2-VL's image processor, or what stands in for it."""
    cls: Any = TiledPatchesImageProcessor
    if TORCHVISION:
        cls = hf.Lfm2VlImageProcessor
    else:
        both = {"pil": cls, "torchvision": cls}  # the latter would be a placeholder
        hf.AutoImageProcessor.register(hf.Lfm2VlConfig, image_processor_classes=both, exist_ok=True)
    return cls(
        encoder_patch_size=4,
        downsample_factor=2,
        min_image_tokens=4,
        max_image_tokens=16,
        max_pixels_tolerance=1.5,
        tile_size=16,
        min_tiles=2,
        max_tiles=4,
    )


def lfm2_vl() -> Tiny:
    tokenizer = make_tokenizer(LFM2)
    processor = hf.Lfm2VlProcessor(
        lfm2_images(),
        tokenizer,
        chat_template="{{ bos_token }}"
        + template("<image>", "<|im_start|>{role}\n", "<|im_end|>\n"),
    )
    config = hf.Lfm2VlConfig(
        vision_config={  # a tower for images of every size: it states none
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "patch_size": 4,
            "num_patches": 16,
            "vision_use_head": False,
        },
        text_config=text_config(
            hf.Lfm2Config,
            tokenizer,
            num_hidden_layers=5,
            layer_types=["conv", "full_attention", "conv", "full_attention", "conv"],
        ),
        image_token_id=processor.image_token_id,
        projector_hidden_size=32,
        downsample_factor=2,
    )
    return Tiny(hf.Lfm2VlForConditionalGeneration(config), processor)


BUILDERS: dict[str, Callable[[], Tiny]] = {
    "llava": make_llava,
    "aya_vision": aya_vision,
    "cohere2_vision": cohere2_vision,
    "deepseek_vl": deepseek_vl,
    "fast_vlm": fast_vlm,
    "gemma3": gemma3,
    "glm46v": lambda: glm("Glm46V", {}),
    "glm4v": lambda: glm("Glm4v", {}),
    "got_ocr2": got_ocr2,
    "granite4_vision": granite4_vision,
    "idefics2": idefics2,
    "idefics3": idefics3,
    "internvl": internvl,
    "lfm2_vl": lfm2_vl,
    "lighton_ocr": lighton_ocr,
    "llama4": llama4,
    "llava_next": llava_next,
    "llava_onevision": llava_onevision,
    "mistral3": mistral3,
    "ovis2": ovis2,
    "paligemma": paligemma,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen2_vl": qwen2_vl,
    "qwen3_5": qwen3_5,
    "qwen3_vl": qwen3_vl,
    "qwen3_vl_moe": qwen3_vl_moe,
    "smolvlm": smolvlm,
    "video_llama_3": video_llama_3,
    "vipllava": vipllava,
}


def build(name: str) -> Tiny:
    """Build the tiny model of a family, its attention far from uniform."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # for what ``sharpen`` leaves as it is drawn: decays, newlines
        tiny = BUILDERS[name]()
    return Tiny(sharpen(tiny.model), tiny.processor)
