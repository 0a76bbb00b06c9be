"""Templates for models of `transformers`.

`TemplateLogitsProcessor` holds `model.generate` to templates; `generate` is a decoding loop of its own that reads tokens
without a choice along with the one before them, and computes no logits but those of the token alphabet. Both give texts
of the template and nothing else, and greedily the same ids where the model is f32: in half precision, passes of another width
round otherwise.

Tell `model.generate` the end of the texts (`eos_token_id=artifact.eos`), or it goes on to its limit wherever the model's own
end is another. `generate` knows it.

Both take SMILES whose templates the artifact has. A molecule with a piece of COPY text that it has not is an
`UnknownLiteralError`: build it in, or `merge` it.
"""

try:
    from tplc._generate import generate
    from tplc._processor import TemplateLogitsProcessor
except ModuleNotFoundError as error:
    if error.name not in ("torch", "transformers"):
        raise
    raise ModuleNotFoundError("tplc.hf needs torch and transformers: pip install 'tplc[hf]'", name=error.name) from error

__all__ = ["TemplateLogitsProcessor", "generate"]
