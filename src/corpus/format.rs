//! Corpus formats: named by file extension, or told from the first bytes.

use std::fmt;
use std::str::FromStr;

use super::CorpusError;

/// What the records of a corpus look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CorpusFormat {
    /// One enriched SMILES a line: `[C]<0.0,0.0,0.0>[O]<1.2,0.0,0.0>`.
    Enriched,
    /// One SMILES a line, a name behind white space or none; enriched lines are taken too.
    Smiles,
    /// One JSON object a line: a SMILES with conformers, or enriched text.
    JsonLines,
    /// MDL V2000 or V3000 mol blocks, each followed by data fields and `$$$$`.
    Sdf,
    /// Extended XYZ frames, their SMILES in the comment line.
    Xyz,
    /// Parquet with the columns that a JSON line has as fields (build feature `parquet`).
    Parquet,
}

impl CorpusFormat {
    /// Every format, in the order in which help texts list them.
    pub const ALL: [Self; 6] =
        [Self::Enriched, Self::Smiles, Self::JsonLines, Self::Sdf, Self::Xyz, Self::Parquet];

    /// The name that [`FromStr`] reads and [`Display`](fmt::Display) writes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Enriched => "enriched",
            Self::Smiles => "smiles",
            Self::JsonLines => "jsonl",
            Self::Sdf => "sdf",
            Self::Xyz => "xyz",
            Self::Parquet => "parquet",
        }
    }

    /// The format that a file name stands for, or `None` for an unknown extension.
    ///
    /// ```
    /// use tplc::corpus::CorpusFormat;
    /// assert_eq!(CorpusFormat::of_name("drugs.sdf.gz"), Some(CorpusFormat::Sdf));
    /// assert_eq!(CorpusFormat::of_name("README"), None);
    /// ```
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let (stem, _) = Compression::split_name(name);
        let (_, extension) = stem.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "txt" | "enriched" => Some(Self::Enriched),
            "smi" | "smiles" => Some(Self::Smiles),
            "jsonl" | "ndjson" | "json" => Some(Self::JsonLines),
            "sdf" | "sd" | "mol" => Some(Self::Sdf),
            "xyz" | "extxyz" => Some(Self::Xyz),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// The most likely format of text that starts with `head` (already decompressed).
    ///
    /// `{` opens a JSON line; an SDF shows a version mark or a delimiter; an XYZ frame starts with its atom count;
    /// the rest is taken for enriched lines if there is a hole in it, or else for SMILES.
    #[must_use]
    pub fn sniff(head: &[u8]) -> Self {
        let contains = |mark: &str| memchr::memmem::find(head, mark.as_bytes()).is_some();
        let first_line = head.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
        if head.starts_with(b"PAR1") {
            Self::Parquet
        } else if head.trim_ascii_start().starts_with(b"{") {
            Self::JsonLines
        } else if ["V2000", "V3000", "M  END", "$$$$"].into_iter().any(contains) {
            Self::Sdf
        } else if !first_line.is_empty() && first_line.iter().all(u8::is_ascii_digit) {
            Self::Xyz
        } else if !first_line.is_empty() && !has_hole(head) {
            Self::Smiles
        } else {
            Self::Enriched
        }
    }
}

impl fmt::Display for CorpusFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CorpusFormat {
    type Err = CorpusError;

    fn from_str(name: &str) -> Result<Self, CorpusError> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| CorpusError::UnknownFormat { name: name.to_owned() })
    }
}

/// Whether a text has a hole: a `<` that is not the one of a bond, `Cl<-[Cu]`. Behind the sign of a number stand no atom and
/// no ring label.
pub(super) fn has_hole(text: &[u8]) -> bool {
    memchr::memchr_iter(b'<', text).any(|at| match &text[at + 1..] {
        [b'-', behind, ..] => !(behind.is_ascii_alphabetic() || b"[*%".contains(behind)),
        behind => !behind.is_empty(),
    })
}

/// How the bytes of a file are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Plain,
    Gzip,
    Zstd,
}

impl Compression {
    /// Splits `drugs.sdf.gz` into `drugs.sdf` and what its last extension says.
    pub(super) fn split_name(name: &str) -> (&str, Option<Self>) {
        let lower = name.to_ascii_lowercase();
        for (extension, compression) in [(".gz", Self::Gzip), (".zst", Self::Zstd), (".zstd", Self::Zstd)] {
            if lower.ends_with(extension) {
                return (&name[..name.len() - extension.len()], Some(compression));
            }
        }
        (name, None)
    }

    /// By magic bytes; no text starts with either.
    pub(super) fn sniff(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A zstd stream may begin with a skippable frame, as `pzstd` writes.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_format() {
        for (name, format) in [
            ("a.txt", Some(CorpusFormat::Enriched)),
            ("dir.d/A.SDF.GZ", Some(CorpusFormat::Sdf)),
            ("a.extxyz.zstd", Some(CorpusFormat::Xyz)),
            ("a.parquet", Some(CorpusFormat::Parquet)),
            ("a.ndjson.zst", Some(CorpusFormat::JsonLines)),
            ("a.gz", None),
            ("README.md", None),
            ("-", None),
        ] {
            assert_eq!(CorpusFormat::of_name(name), format, "{name}");
        }
    }

    #[test]
    fn content_tells_the_format() {
        for (head, format) in [
            ("\n {\"smiles\"", CorpusFormat::JsonLines),
            ("name\n  prog\n\n  0  0  0     0  0  0  0  0  0999 V2000\n", CorpusFormat::Sdf),
            (" 12 \ncomment", CorpusFormat::Xyz),
            ("[C]<0,0,0>", CorpusFormat::Enriched),
            ("[CONFORMER][C]<0,0,0>[/CONFORMER]\n", CorpusFormat::Enriched),
            ("Cl<-[Cu]\n", CorpusFormat::Smiles),
            ("", CorpusFormat::Enriched),
        ] {
            assert_eq!(CorpusFormat::sniff(head.as_bytes()), format, "{head}");
        }
        for format in CorpusFormat::ALL {
            assert_eq!(format.name().parse::<CorpusFormat>().unwrap(), format);
        }
    }

    #[test]
    fn bonds_are_no_holes() {
        for smiles in ["CCO", "Cl<-[Cu]", "[Cu]<-[NH3]", "[Cu]<-N", "[Cu]<-%10", "N->[Cu]", "C<", ""] {
            assert!(!has_hole(smiles.as_bytes()), "{smiles}");
        }
        for enriched in ["[C]<0,0,0>", "[C]<-.5,0,0>", "[C]<>", "C<1", "[Cl]<0,0,0><-[Cu]<1,0,0>", "[C]<+1,a"]
        {
            assert!(has_hole(enriched.as_bytes()), "{enriched}");
        }
    }
}
