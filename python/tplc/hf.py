"""Templates for models of `transformers`.

`TemplateLogitsProcessor` holds `model.generate` to templates; `generate` is a decoding loop of its own that reads tokens
without a choice along with the one before them, and computes no logits but those of the token alphabet. Both give texts
of the template and nothing else, and greedily the same ids where the model is f32: in half precision, passes of another width
round otherwise.

Both take SMILES whose templates the artifact has. A molecule with a piece of COPY text that it has not is an
`UnknownLiteralError`: build it in, or `merge` it.
"""

from tplc._generate import generate
from tplc._processor import TemplateLogitsProcessor

__all__ = ["TemplateLogitsProcessor", "generate"]
