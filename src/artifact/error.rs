//! Why bytes are no artifact.

use std::path::PathBuf;

use thiserror::Error;

/// Why an artifact cannot be opened or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The bytes do not begin as an artifact does.
    #[error("not a tplc artifact: build one with `tplc build`")]
    NotAnArtifact,
    /// The file was written by another version of the format.
    #[error(
        "the artifact has format version {found}, and this tplc reads version {readable}: build it again, or use a tplc that reads it"
    )]
    Version {
        /// The version of the file.
        found: u32,
        /// The version that can be read.
        readable: u32,
    },
    /// The bytes are damaged, cut off, or not what a writer would write.
    #[error("the artifact is damaged: {section}: {fault}; build it again")]
    Damaged {
        /// The part of the file.
        section: &'static str,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Tables and molecules that no artifact can hold.
    #[error("no artifact can be written: {fault}")]
    Unwritable {
        /// What is wrong with them.
        fault: &'static str,
    },
    /// A literal of a molecule is not in the literal table.
    #[error(
        "the artifact has no literal {literal:?} (number {index} of {text:?}): add the molecule to the corpus and build again, or name the tokenizer, with --tokenizer, to compile it"
    )]
    UnknownLiteral {
        /// The literal.
        literal: String,
        /// Its number in the text, from 0.
        index: usize,
        /// The molecule.
        text: String,
    },
    /// A text without any atom.
    #[error("{text:?} has no atom that a position could follow")]
    NoAtom {
        /// The text.
        text: String,
    },
    /// A molecule number beyond the last.
    #[error("there is no molecule {index}: the artifact holds {len}")]
    NoMolecule {
        /// The number asked for, from 0.
        index: usize,
        /// How many there are.
        len: usize,
    },
}

pub(super) fn fault(section: &'static str, fault: &'static str) -> Error {
    Error::Damaged { section, fault }
}
