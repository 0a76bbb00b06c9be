"""Templates for vLLM: a logits processor for each of its two interfaces.

    os.environ["TPLC_ARTIFACT"] = "qwen.tplc"
    llm = LLM(model, logits_processors=["tplc.vllm:TemplateLogitsProcessor"])
    llm.generate(prompts, [SamplingParams(extra_args={"tplc_smiles": smiles}, …) for smiles in molecules])

The artifact is named by the environment (`TPLC_ARTIFACT`) or by a subclass (`artifact_path`): then a SMILES without a
template is refused as the request comes. `additional_config={"tplc_artifact": …}` will do too, but the engine alone sees it. A
request without `tplc_smiles` is left alone. The server takes it as `vllm_xargs`, which has no room for nested values.

Within the engine no request brings down the others: one without a template, and one that says what its template refuses
(`logit_bias`, `bad_words` or `min_tokens` can make it), says its end from there on. V1 logs both, V2 the first alone, as it
never waits for the device; `tplc.audit` finds such texts.

`TemplateLogitsProcessor` is for model runner V2, which vLLM uses by itself; `TemplateLogitsProcessorV1` is for the runner
before it (`VLLM_USE_V2_MODEL_RUNNER=0`). Both are tested with vLLM 0.33, the least version they are for. Set
`stop_token_ids` to `artifact.eos` where it is not the model's own end-of-sequence token. Speculative decoding is refused.
"""

from tplc._vllm_v1 import TemplateLogitsProcessorV1
from tplc._vllm_v2 import TemplateLogitsProcessor

__all__ = ["TemplateLogitsProcessor", "TemplateLogitsProcessorV1"]
