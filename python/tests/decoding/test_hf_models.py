"""Which models of transformers `tplc.hf.generate` serves, tiny and with random weights: the same ids as with the processor, or
a refusal."""

import warnings

import pytest

pytest.importorskip("transformers")

import tplc
import tplc.hf
from transformers import AutoModelForCausalLM, CONFIG_MAPPING

MOLECULES = ["C#N", "O", "CO"]
BASE = {"vocab_size": 312, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
USUAL = BASE | {"intermediate_size": 48, "num_key_value_heads": 1, "max_position_embeddings": 512}
GPT = {"vocab_size": 312, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 512}
EXPERTS = {"moe_intermediate_size": 16, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1}
LATENT = {"kv_lora_rank": 8, "q_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}

SERVED = {
    "llama": USUAL,
    "qwen2": USUAL,
    "mistral": USUAL,
    "gemma": USUAL | {"head_dim": 16},
    "gemma2": USUAL | {"head_dim": 16},
    "gemma3_text": USUAL | {"head_dim": 16},
    "phi": BASE | {"intermediate_size": 48},
    "phi3": USUAL | {"pad_token_id": 0},
    "gpt2": GPT,
    "gpt_neox": BASE | {"intermediate_size": 48},
    "gptj": GPT | {"rotary_dim": 8},
    "opt": BASE | {"ffn_dim": 48, "word_embed_proj_dim": 32, "max_position_embeddings": 512},
    "mpt": {"vocab_size": 312, "d_model": 32, "n_layers": 2, "n_heads": 2, "expansion_ratio": 2, "max_seq_len": 512},
    "falcon": BASE,
    "codegen": GPT | {"n_head": 4, "rotary_dim": 4},
    "gpt_bigcode": GPT,
    "stablelm": USUAL,
    "starcoder2": USUAL,
    "cohere": USUAL,
    "olmo2": USUAL,
    "mixtral": USUAL | {"num_local_experts": 2},
    "granite": USUAL,
    "glm": USUAL | {"head_dim": 16, "pad_token_id": 0},
    "xglm": {"vocab_size": 312, "d_model": 32, "num_layers": 2, "attention_heads": 2, "ffn_dim": 48},
    "biogpt": BASE | {"intermediate_size": 48, "max_position_embeddings": 512},
    "nemotron": USUAL,
    "deepseek_v3": USUAL | EXPERTS | LATENT | {"num_key_value_heads": 2, "first_k_dense_replace": 1},
    "smollm3": USUAL | {"pad_token_id": 0},
    "ctrl": GPT | {"dff": 32},
    "bert": BASE | {"intermediate_size": 32, "is_decoder": True},
}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 2.0}
LOCAL = {"attention_types": [[["global", "local"], 1]], "window_size": 16, "num_layers": 2, "num_heads": 2}
REFUSED = {
    "gpt_neo": {"vocab_size": 312, "hidden_size": 32, "max_position_embeddings": 512} | LOCAL,
    "rwkv": {"vocab_size": 312, "hidden_size": 32, "num_hidden_layers": 2},
    "recurrent_gemma": BASE | {"num_hidden_layers": 3, "lru_width": 32, "intermediate_size": 48},
    "bloom": {"vocab_size": 312, "hidden_size": 32, "n_layer": 2, "n_head": 2},
    "falcon": BASE | {"alibi": True},
    "xlnet": {"vocab_size": 312, "d_model": 32, "n_layer": 1, "n_head": 2, "d_inner": 32},
    "openai-gpt": GPT,
    "mamba": {"vocab_size": 312, "hidden_size": 32, "num_hidden_layers": 2},
    "lfm2": USUAL | {"layer_types": ["conv", "full_attention"]},
}


@pytest.fixture(scope="module")
def short(tokenizer):
    return tplc.compile(MOLECULES, tokenizer, number_format="(integer_digits: 1, decimals: 2)", tags="none")


def made(torch, kind, settings, end):
    """A model whose context weighs: with the usual first weights it hardly does."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**settings)).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(0, 0.15)
    model.generation_config.eos_token_id = model.generation_config.pad_token_id = end
    return model


def prompts_of(torch, end):
    ids, mask = torch.randint(40, 100, (3, 7)), torch.ones(3, 7, dtype=torch.long)
    mask[1, :3] = mask[2, :1] = 0
    return {"input_ids": ids.masked_fill(mask == 0, end), "attention_mask": mask}


@pytest.mark.parametrize("kind", SERVED)
def test_served(torch, short, kind):
    model, processor = made(torch, kind, SERVED[kind], short.eos), tplc.hf.TemplateLogitsProcessor(short, MOLECULES)
    prompts = prompts_of(torch, short.eos)
    slow = model.generate(
        **prompts, logits_processor=[processor], max_new_tokens=processor.max_new_tokens, do_sample=False
    )
    assert torch.equal(tplc.hf.generate(model, prompts, short, MOLECULES), slow)


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(torch, short, kind):
    model = made(torch, kind, REFUSED[kind], short.eos)
    for _ in range(2):
        with pytest.raises(ValueError, match="use TemplateLogitsProcessor for this model"):
            tplc.hf.generate(model, prompts_of(torch, short.eos), short, MOLECULES)


def test_a_window_of_more_cells_than_were_tried(torch, short):
    """Half of the layers see 100 tokens: enough for short prompts, not for a long one."""
    model = made(torch, "gpt_neo", REFUSED["gpt_neo"] | {"window_size": 100}, short.eos)
    assert len(tplc.hf.generate(model, torch.full((3, 7), 50), short, MOLECULES, max_new_tokens=8)) == 3
    with pytest.raises(ValueError, match="use TemplateLogitsProcessor for this model"):
        tplc.hf.generate(model, torch.full((3, 90), 50), short, MOLECULES)


def test_models_on_several_devices_are_refused(torch, short):
    model = made(torch, "llama", USUAL, short.eos)
    model.model.layers[1].to("meta")
    with pytest.raises(ValueError, match="on one device, and this one lies on several"):
        tplc.hf.generate(model, prompts_of(torch, short.eos), short, MOLECULES)


def test_a_model_in_training_mode_is_told_so(torch, short):
    model, prompts = made(torch, "gpt2", GPT, short.eos).train(), prompts_of(torch, short.eos)
    with pytest.raises(ValueError, match=r"training mode: model.eval\(\)"):
        tplc.hf.generate(model, prompts, short, MOLECULES)
    tplc.hf.generate(model.eval(), prompts, short, MOLECULES)
    with pytest.raises(ValueError, match=r"training mode: model.eval\(\)"):
        tplc.hf.generate(model.train(), prompts, short, MOLECULES)


LONG = {"rope_type": "longrope", "rope_theta": 10_000.0, "short_factor": [1.0] * 8, "long_factor": [3.0] * 8}
SCALED = {
    "dynamic": lambda most: ("llama", USUAL | {"max_position_embeddings": most, "rope_parameters": DYNAMIC}),
    "longrope": lambda most: (
        "phi3",
        USUAL | {"pad_token_id": 0, "original_max_position_embeddings": most, "rope_parameters": LONG},
    ),
}


@pytest.mark.parametrize("kind", SCALED)
def test_positions_that_depend_on_the_length_of_the_text(torch, short, kind):
    """Served as far as they do not; beyond, a model would read again what it has read."""
    prompts = prompts_of(torch, short.eos)
    processor = tplc.hf.TemplateLogitsProcessor(short, MOLECULES)
    # The last token is never read.
    most = prompts["input_ids"].shape[1] + processor.max_new_tokens - 1
    enough = made(torch, *SCALED[kind](most), short.eos)
    slow = enough.generate(
        **prompts, logits_processor=[processor], max_new_tokens=processor.max_new_tokens, do_sample=False
    )
    assert torch.equal(tplc.hf.generate(enough, prompts, short, MOLECULES), slow)
    short_of_one = made(torch, *SCALED[kind](most - 1), short.eos)
    with pytest.raises(ValueError, match=f"rope_type {kind}.*use TemplateLogitsProcessor for this model"):
        tplc.hf.generate(short_of_one, prompts, short, MOLECULES)
    fewer = {"max_new_tokens": processor.max_new_tokens - 1}
    assert len(tplc.hf.generate(short_of_one, prompts, short, MOLECULES, **fewer)) == len(MOLECULES)


def test_a_compiled_model_is_read_as_it_is(torch, short):
    model, prompts = made(torch, "llama", USUAL, short.eos), prompts_of(torch, short.eos)
    expected = tplc.hf.generate(model, prompts, short, MOLECULES)
    assert torch.equal(tplc.hf.generate(torch.compile(model), prompts, short, MOLECULES), expected)


def test_models_that_ask_the_host_are_not_recorded(torch, short):
    """A frequency table that depends on the longest position is looked up by the host."""
    from tplc._probe import reader_of

    for settings, asks in [(USUAL, False), (USUAL | {"rope_parameters": DYNAMIC}, True)]:
        model = made(torch, "llama", settings, short.eos)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert [reader_of(model, short.tables.alphabet, size)[1] for size in (128, 64)] == [asks, asks]
