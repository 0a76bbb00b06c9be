"""What a model is asked for: the logits of the token alphabet; and whether it can be asked."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel


class RestrictedHead:
    """A model whose output layer has only the rows of the token alphabet, while it is called."""

    def __init__(self, model: PreTrainedModel, alphabet: object) -> None:
        head = model.get_output_embeddings()
        self.alphabet = torch.tensor(alphabet, dtype=torch.long, device=model.device)
        self.column = torch.zeros(int(self.alphabet[-1]) + 1, dtype=torch.long, device=model.device)
        self.column[self.alphabet] = torch.arange(len(self.alphabet), device=model.device)
        self.model, self.weights = model, {}
        if type(head) is torch.nn.Linear and len(self.alphabet) < head.out_features:
            name = next(name for name, module in model.named_modules() if module is head)
            self.weights = {f"{name}.{kind}": weight[self.alphabet] for kind, weight in head.named_parameters()}

    def columns(self, ids: Tensor) -> Tensor:
        """Where the logits of ids are; of ids that are never one of several, anywhere."""
        return self.column[ids.clamp(max=len(self.column) - 1)]

    def __call__(self, ids: Tensor, **inputs: object) -> Tensor:
        """The logits of the alphabet behind each id, `(rows, ids, alphabet)`."""
        inputs = {"input_ids": ids, "return_dict": True, **inputs}
        if not self.weights:
            return self.model(**inputs).logits[..., self.alphabet]
        called = torch.func.functional_call(self.model, self.weights, (), inputs, tie_weights=False)
        return called.logits


def layers_of(model: PreTrainedModel, size: int) -> int:
    """The layers of a model, if it is one that cells can serve."""
    config = model.config.get_text_config(decoder=True)
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None) or size
    if model.config.is_encoder_decoder or kinds - {"full_attention", "sliding_attention"} or window < size:
        raise ValueError(
            f"tplc.hf.generate needs a decoder whose attention sees all of {size} tokens: "
            "use TemplateLogitsProcessor for this model"
        )
    if config._attn_implementation not in ("sdpa", "eager"):
        raise ValueError('tplc.hf.generate needs a model with attn_implementation="sdpa" or "eager"')
    return config.num_hidden_layers
