//! Logits of PyTorch's `transformers` beside ours: fixtures that `scripts/torch_logits.py` makes.

use std::path::Path;

use tplc::decode::{Packed, Wanted};

use crate::checkpoint::{FAMILIES, decoder, ids, one_shot, rows, torch_fixture};

const FOLDER: &str = "tests/decode/torch";

/// Read at once, and in ragged runs of both texts side by side.
#[test]
fn logits_are_those_of_transformers() {
    for family in FAMILIES {
        let folder = Path::new(FOLDER).join(family);
        let (tokens, theirs) = torch_fixture(&folder, "tokens", "logits");
        let largest =
            theirs.iter().flatten().flatten().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
        let mut model = decoder(&folder, 2, 128);
        let mut seen = [Vec::new(), Vec::new()];
        for (slot, tokens) in tokens.iter().enumerate() {
            let ours = one_shot(&mut model, slot, &ids(tokens.iter().copied()));
            assert!(crate::checkpoint::difference(&ours, &theirs[slot]) < 1e-4 * largest, "{family}");
        }
        let mut at = [0, 0];
        while at.iter().zip(&tokens).any(|(at, tokens)| *at < tokens.len()) {
            let mut packed = Packed::default();
            for (slot, run) in [(1, 3), (0, 7)] {
                let end = (at[slot] + run).min(tokens[slot].len());
                if end > at[slot] {
                    packed.push(
                        slot,
                        at[slot],
                        &ids(tokens[slot][at[slot]..end].iter().copied()),
                        Wanted::All,
                    );
                    at[slot] = end;
                }
            }
            let mut logits = rows(&mut model, &packed).into_iter();
            for run in packed.runs() {
                seen[run.slot].extend(logits.by_ref().take(run.tokens.len()));
            }
        }
        for (ours, theirs) in seen.iter().zip(&theirs) {
            assert!(crate::checkpoint::difference(ours, theirs) < 1e-4 * largest, "{family}");
        }
    }
}
