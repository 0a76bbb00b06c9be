"""The two position-template processors in use, as they are used: what tplc is compared with.

A molecule with a placeholder in every hole is tokenized once. Position i of a completion is COPY, and its id is forced, or
FREE, and ids are masked. Positions are counted, whatever was generated; behind the last, the end is forced.
"""

import re

import torch
from transformers import LogitsProcessor


class PositionTemplate:
    """One molecule: the id of each position, and whether it is FREE, first, or one of the last two of its hole."""

    def __init__(self, tokenizer, template, placeholder):
        text, holes = "", []
        for literal in template.literals[:-1]:
            text += literal
            holes.append((len(text.encode()), len((text + placeholder).encode())))
            text += placeholder
        text += template.literals[-1]
        self.ids, self.free, self.first, self.last = tokenizer.encode(text), [], [], []
        spans = tokenizer.spans(text)
        inside = [next((h for h, (a, b) in enumerate(holes) if a <= start and end <= b), None) for start, end in spans]
        for at, hole in enumerate(inside):
            behind = inside[at + 1 : at + 3]
            self.free.append(hole is not None)
            self.first.append(hole is not None and (at == 0 or inside[at - 1] != hole))
            self.last.append(hole is not None and behind != [hole, hole])


class PositionProcessor(LogitsProcessor):
    """Forces COPY positions, and leaves the FREE ones to `mask_free`."""

    placeholder: str

    def __init__(self, blocked, tokenizer, templates, prompt_length, eos):
        """`blocked` is what the class's method of that name makes of a tokenizer, once."""
        self.rows = [PositionTemplate(tokenizer, template, self.placeholder) for template in templates]
        self.blocked, self.prompt_length, self.eos = blocked, prompt_length, eos

    def __call__(self, input_ids, scores):
        at = input_ids.shape[1] - self.prompt_length
        for row, template in enumerate(self.rows):
            if at < len(template.ids) and template.free[at]:
                self.mask_free(scores[row], template, at)
            else:
                forced = template.ids[at] if at < len(template.ids) else self.eos
                kept = scores[row, forced].clone()
                scores[row] = -torch.inf
                scores[row, forced] = kept
        return scores


class Blocklist(PositionProcessor):
    """Blocks brackets and added tokens."""

    placeholder = "0.0000,0.0000,0.0000"

    @staticmethod
    def blocked(tokenizer, width, device="cpu"):
        def is_blocked(text):
            return "<" in text or ">" in text or tokenizer.added_token(text) is not None

        return torch.tensor([id for id in range(width) if is_blocked(tokenizer.decode([id]))], device=device)

    def mask_free(self, scores, template, at):
        scores[self.blocked] = -torch.inf


class Allowlist(PositionProcessor):
    """Allows digits and some punctuation: no comma first, neither comma nor minus among the last two."""

    placeholder = "0.000,0.000,0.000"

    @staticmethod
    def blocked(tokenizer, width, device="cpu"):
        def is_numeric(text):
            # No punctuation beside other punctuation, but the minus of the next number.
            return re.fullmatch(r"[0-9.,-]+", text) and not re.search(r"[.,-]{2}", text.replace(",-", ","))

        texts = {id: tokenizer.decode([id]) for id in range(width)}
        numeric = {id: text for id, text in texts.items() if is_numeric(text)}
        forbidden = {"first": set(","), "inner": set(), "last": set(",-")}
        return {
            kind: torch.tensor([id for id in texts if id not in numeric or letters & set(numeric[id])], device=device)
            for kind, letters in forbidden.items()
        }

    def mask_free(self, scores, template, at):
        kind = "last" if template.last[at] else "first" if template.first[at] else "inner"
        scores[self.blocked[kind]] = -torch.inf
