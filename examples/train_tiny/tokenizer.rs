//! The model's tokenizer: byte-level BPE, digits one by one, merges learned from COPY text.

use std::collections::HashSet;

use tokenizers::{
    AddedToken, Tokenizer,
    models::{
        TrainerWrapper,
        bpe::{BPE, BpeTrainer},
    },
    pre_tokenizers::{
        byte_level::ByteLevel,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
    tokenizer::normalizer::SplitDelimiterBehavior,
};
use tplc::{
    corpus::Molecule,
    text::{Skeleton, Tags},
};

/// Ends a sequence, and fills rows of unequal length.
pub(crate) const END: &str = "<|endoftext|>";

/// Letters with the one character before them, digits one by one, everything else in runs: what Qwen's tokenizers do,
/// for text without line breaks.
const PIECES: &str = r"[^\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+";

/// Stands in every hole of the text that merges are learned from. It has the minus of y and z but not that of x, so
/// that `,-` becomes one token and `]<` is never merged with `-`, as in the tokenizers of large models.
const HOLE: &str = "<0,-0,-0>";

/// Tokens with fewer occurrences than this are not worth a row of the embedding.
const FEWEST: u64 = 20;

/// Learns a tokenizer of about `size` tokens. Same molecules, same tokenizer.
pub(crate) fn learn(molecules: &[&Molecule], size: usize) -> tokenizers::Result<Tokenizer> {
    let texts: Vec<String> = molecules
        .iter()
        .map(|molecule| Ok(Skeleton::new(&molecule.smiles, None)?.as_str().replace("<>", HOLE)))
        .collect::<tokenizers::Result<_>>()?;
    let pieces = Split::new(SplitPattern::Regex(PIECES.to_owned()), SplitDelimiterBehavior::Isolated, false)?;
    let bytes = ByteLevel::new(false, false, false);
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![pieces.into(), bytes.into()])));
    tokenizer.with_decoder(Some(bytes));

    let added = added_tokens();
    let alphabet: HashSet<char> = ByteLevel::alphabet().into_iter().collect();
    let trainer = BpeTrainer::builder()
        .vocab_size(size - added.len())
        .min_frequency(FEWEST)
        .initial_alphabet(alphabet)
        .show_progress(false)
        .build();
    tokenizer.train(&mut TrainerWrapper::BpeTrainer(trainer), texts.iter())?;
    tokenizer.add_tokens(added)?;
    Ok(tokenizer)
}

/// The end, and the tags around prompt and completion.
fn added_tokens() -> Vec<AddedToken> {
    let Tags { prompt, completion } = Tags::conformer();
    let tags = [prompt, completion].into_iter().flatten().flat_map(|pair| [pair.open, pair.close]);
    let tags = tags.map(|tag| AddedToken::from(tag, false).normalized(false));
    std::iter::once(AddedToken::from(END, true)).chain(tags).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::molecules::sources;

    #[test]
    fn the_same_molecules_give_the_same_tokenizer() {
        let sources = sources().unwrap();
        let molecules: Vec<&Molecule> = sources[0].seen.iter().take(200).collect();
        let learn = || learn(&molecules, 320).unwrap().to_string(true).unwrap();
        assert_eq!(learn(), learn());
    }

    #[test]
    fn digits_stand_alone_and_only_the_sign_of_y_and_z_is_merged() {
        let sources = sources().unwrap();
        let molecules: Vec<&Molecule> = sources.iter().flat_map(|source| &source.seen).collect();
        let tokenizer = learn(&molecules, 352).unwrap();
        let encoding = tokenizer.encode("[CONFORMER][C]<-1.25,-0.5,12>=[O]<1", false).unwrap();
        let tokens = encoding.get_tokens().join(" ");
        assert_eq!(tokens, "[CONFORMER] [C ]< - 1 . 2 5 ,- 0 . 5 , 1 2 >=[ O ]< 1");
    }
}
