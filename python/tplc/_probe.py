"""Whether a model reads through cells what it reads without them: by its configuration, and tried, once, on a few tokens."""

from __future__ import annotations

import warnings
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import PreTrainedModel

from tplc._cells import Cells
from tplc._reader import Reader

PASSES = [((0, 0), 6), ((6, 4), 3), ((9, 7), 3)]
"""Where each of two rows reads on, and how many tokens: as in decoding, one goes on from what the other reads again."""
LENGTH = 12
ASKS = {"_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal", "item"}
"""Operations whose result comes to the host, so that they cannot be recorded."""

_tried: WeakKeyDictionary[PreTrainedModel, tuple[int, bool, bool]] = WeakKeyDictionary()


class Listening(TorchDispatchMode):
    """Hears whether the host is asked for anything."""

    asked = False

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.asked |= operation.overloadpacket.__name__ in ASKS
        return operation(*args, **(kwargs or {}))


def reader_of(model: PreTrainedModel, alphabet: np.ndarray, size: int, grouped: bool = True) -> tuple[Reader, bool]:
    """How to read a model, and whether a pass looks at its own results, so that it cannot be recorded. A ValueError where the
    model cannot be read through so many cells."""
    # What a model does in training is no longer what was tried.
    known, as_known, asks = (0, grouped, False) if model.training else _tried.get(model, (0, grouped, False))
    reader = Reader(model, alphabet, grouped and as_known)
    if size <= known:
        return reader, asks
    try:
        asks, sound = _try(model, reader, size)
    except ValueError:
        if reader.groups == 1:
            raise
        return reader_of(model, alphabet, size, grouped=False)
    if sound and not model.training:
        _tried[model] = size, reader.groups > 1, asks
    return reader, asks


def layers_of(model: PreTrainedModel, size: int) -> int:
    """The layers of a model, if it is one that cells can serve, as far as its configuration says."""
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
    if len({parameter.device for parameter in model.parameters()}) > 1:
        raise ValueError(
            "tplc.hf.generate needs a model on one device, and this one lies on several: "
            "use TemplateLogitsProcessor for this model"
        )
    return config.num_hidden_layers


def check_length(model: PreTrainedModel, tokens: int) -> None:
    """Refuses texts so long that the model counts positions in another way, also those that it has read already: cells keep
    what was read."""
    config = model.config.get_text_config(decoder=True)
    rope = getattr(config, "rope_parameters", None) or {}
    # Of all layers, or by their type.
    for one in (rope, *rope.values()):
        kind, most = one.get("rope_type") if isinstance(one, dict) else None, tokens
        if kind == "dynamic":
            most = config.max_position_embeddings
        if kind == "longrope":
            most = one["original_max_position_embeddings"]
        if tokens > most:
            raise ValueError(
                f"texts may be {tokens} tokens long, and {type(model).__name__} counts positions in another way from {most} on "
                f"(rope_type {kind}): use TemplateLogitsProcessor for this model, or give max_new_tokens"
            )


@torch.no_grad()
def _try(model: PreTrainedModel, reader: Reader, size: int) -> tuple[bool, bool]:
    """Whether a pass asks; and whether the logits could be compared. If not, decoding will tell what is wrong with them."""
    ids = reader.alphabet[torch.arange(2 * LENGTH, device=model.device) * 7 % len(reader.alphabet)].view(2, LENGTH)
    try:
        plain = model(input_ids=ids, use_cache=False).logits[..., reader.alphabet].float()
        wrong, asks = _differences(model, reader, size, ids, plain)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise _refusal(model) from error
    sound = bool(plain.amax(-1).isfinite().all())
    # Half of the tokens may differ: with rounding, a mixture of experts now and then asks another expert.
    scale = float(plain.masked_fill(plain.isinf(), 0).abs().max())
    if sound and not float(wrong.median()) <= torch.finfo(reader.dtype).eps ** 0.5 * scale:
        raise _refusal(model)
    if asks and model.device.type == "cuda":
        warnings.warn(f"{type(model).__name__} asks the host in each pass: no CUDA graphs", stacklevel=2)
    return asks, sound


def _differences(
    model: PreTrainedModel, reader: Reader, size: int, ids: Tensor, plain: Tensor
) -> tuple[Tensor, bool]:
    """How far each logit behind the first pass is off, the farthest of each token; and whether the last pass asked."""
    cells = Cells(size)
    cache, wrong, listening = cells.cache(layers_of(model, size)), [], Listening()
    for begins, width in PASSES:
        at = cells.go_to(torch.tensor(begins, device=ids.device), width)
        with listening:
            listening.asked = False
            logits = reader(ids.gather(1, at), at, cells, cache)
        logits, expected = logits.float(), plain.gather(1, at[:, :, None].expand_as(logits))
        # Both may be minus infinity.
        wrong.append((logits - expected).abs().masked_fill(logits == expected, 0).amax(-1))
    return torch.cat(wrong[1:], 1), listening.asked


def _refusal(model: PreTrainedModel) -> ValueError:
    training = " (it is in training mode: model.eval() may be all that is missing)" if model.training else ""
    return ValueError(
        f"tplc.hf.generate cannot run {type(model).__name__}, whose attention keeps more than keys and values, or counts "
        f"them in its own way: use TemplateLogitsProcessor for this model{training}"
    )
