"""Templates for models of `transformers`.

`TemplateLogitsProcessor` holds `model.generate` to templates; `generate` is a decoding loop of its own that reads tokens
without a choice along with the one before them, and computes no logits but those of the token alphabet. Both give texts
of the template and nothing else, and the same ids where they are greedy.
"""

from tplc._generate import generate
from tplc._processor import TemplateLogitsProcessor

__all__ = ["TemplateLogitsProcessor", "generate"]
