//! Where a tokenizer comes from, and loading it from there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::added::AddedTokens;
use super::embedded::{EmbeddedTokenizer, embedded};
use super::folder::{ModelFacts, TOKENIZER, parse, read_file, read_folder};
use super::hf::Parts;
use super::hub::{HubConfig, fetch, fetch_model, is_repo_name, is_revision};
use super::{Tokenizer, TokenizerError};

/// Where a tokenizer comes from.
///
/// ```
/// use tplc::tokenizer::TokenizerSource;
/// let source: TokenizerSource = "qwen".parse().unwrap();
/// assert_eq!(source.to_string(), "qwen3");
/// assert!("hf:Qwen/Qwen3-0.6B@main".parse::<TokenizerSource>().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenizerSource {
    /// Compiled in.
    Embedded(&'static EmbeddedTokenizer),
    /// A `tokenizer.json`.
    File(PathBuf),
    /// A model folder: `tokenizer.json` and the files beside it.
    Folder(PathBuf),
    /// A repository of the Hugging Face hub.
    Hub {
        /// `ORG/NAME`.
        repo: String,
        /// A branch, tag or commit; `main` without one.
        revision: Option<String>,
    },
}

/// A name of an embedded tokenizer, `hf:ORG/NAME[@REVISION]`, or a path. A name wins over a path: write `./qwen3`
/// for a folder of that name.
impl FromStr for TokenizerSource {
    type Err = TokenizerError;

    fn from_str(text: &str) -> Result<Self, TokenizerError> {
        if let Some(known) = EmbeddedTokenizer::find(text) {
            return Ok(Self::Embedded(known));
        }
        if let Some(hub) = text.strip_prefix("hf:") {
            let (repo, revision) = hub.split_once('@').map_or((hub, None), |(repo, rev)| (repo, Some(rev)));
            return if is_repo_name(repo) && revision.is_none_or(is_revision) {
                Ok(Self::Hub { repo: repo.to_owned(), revision: revision.map(str::to_owned) })
            } else {
                Err(TokenizerError::BadHubName { given: text.to_owned() })
            };
        }
        let path = Path::new(text);
        if path.is_dir() {
            Ok(Self::Folder(path.to_owned()))
        } else if may_be_hub(text) {
            Err(TokenizerError::MaybeHub { given: text.to_owned() })
        } else if path.is_file() || text.contains(['/', '\\']) || text.ends_with(".json") {
            Ok(Self::File(path.to_owned()))
        } else {
            Err(unknown(text))
        }
    }
}

impl fmt::Display for TokenizerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(tokenizer) => f.write_str(tokenizer.name),
            Self::File(path) | Self::Folder(path) => path.display().fmt(f),
            Self::Hub { repo, revision: None } => write!(f, "hf:{repo}"),
            Self::Hub { repo, revision: Some(revision) } => write!(f, "hf:{repo}@{revision}"),
        }
    }
}

impl Tokenizer {
    /// A tokenizer from the text of a `tokenizer.json` that is at hand, and what else is known of its model: the text of the
    /// token that ends a sequence, and the width of the logits.
    ///
    /// # Errors
    /// [`TokenizerError`] if the text is no tokenizer.
    pub fn from_json(
        json: &str,
        name: &str,
        eos: Option<String>,
        logits_width: Option<u32>,
    ) -> Result<Self, TokenizerError> {
        let inner = parse(json.as_bytes(), name)?.build(name)?;
        let facts = ModelFacts { rows: logits_width, eos };
        Ok(Self::new(name.to_owned(), name.to_owned(), None, facts, inner))
    }
}

impl TokenizerSource {
    /// The folder of the model whose tokenizer this is, with its weights: a folder itself, or what is fetched from the hub;
    /// others belong to no model.
    ///
    /// # Errors
    /// [`TokenizerError::Hub`] if the hub does not give a file.
    pub fn model_folder(&self, hub: &HubConfig) -> Result<Option<PathBuf>, TokenizerError> {
        match self {
            Self::Folder(folder) => Ok(Some(folder.clone())),
            Self::Hub { repo, revision } => fetch_model(repo, revision.as_deref(), hub).map(Some),
            _ => Ok(None),
        }
    }

    /// Loads the tokenizer and lays `overlays` over it, in order. The hub is reached as the environment says.
    ///
    /// # Errors
    /// [`TokenizerError`], if it cannot be found or read, or an added token cannot have its id.
    pub fn load(&self, overlays: &[AddedTokens]) -> Result<Tokenizer, TokenizerError> {
        self.load_with(overlays, &HubConfig::from_env())
    }

    /// As [`TokenizerSource::load`], reaching the hub as `hub` says.
    ///
    /// # Errors
    /// As [`TokenizerSource::load`].
    pub fn load_with(&self, overlays: &[AddedTokens], hub: &HubConfig) -> Result<Tokenizer, TokenizerError> {
        let (mut parts, mut facts) = self.read(hub)?;
        let mut name = self.name();
        for overlay in overlays {
            self.check_base(overlay)?;
            name = format!("{name}+{}", overlay.name);
            facts.rows = overlay.embedding_rows.or(facts.rows);
            parts.added_tokens.extend(overlay.added_tokens.iter().cloned());
        }
        let inner = parts.build(&name)?;
        let (origin, licence) = match self {
            Self::Embedded(tokenizer) => (tokenizer.origin.to_owned(), Some(tokenizer.licence)),
            _ => (self.to_string(), None),
        };
        Ok(Tokenizer::new(name, origin, licence, facts, inner))
    }

    /// What the source is called.
    fn name(&self) -> String {
        let stem = |path: &Path| Some(path.file_stem()?.to_str()?.to_owned());
        let folder = |path: &Path| Some(path.canonicalize().ok()?.file_name()?.to_str()?.to_owned());
        let name = match self {
            Self::Embedded(tokenizer) => Some(tokenizer.name.to_owned()),
            Self::Hub { repo, .. } => Some(repo.clone()),
            Self::Folder(path) => folder(path),
            // Nearly every file is called tokenizer.json: its folder tells more.
            Self::File(path) if path.file_name().is_some_and(|name| name == TOKENIZER) => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                folder(parent.unwrap_or(Path::new("."))).or_else(|| stem(path))
            }
            Self::File(path) => stem(path),
        };
        name.unwrap_or_else(|| self.to_string())
    }

    /// The parts, and what is known of the model.
    fn read(&self, hub: &HubConfig) -> Result<(Parts, ModelFacts), TokenizerError> {
        match self {
            Self::Embedded(tokenizer) => {
                let rows = tokenizer.overlay()?.and_then(|overlay| overlay.embedding_rows);
                Ok((tokenizer.parts()?, ModelFacts { rows, eos: Some(tokenizer.eos.to_owned()) }))
            }
            Self::File(path) => Ok((read_file(path)?, ModelFacts::default())),
            Self::Folder(path) => read_folder(path),
            Self::Hub { repo, revision } => read_folder(&fetch(repo, revision.as_deref(), hub)?),
        }
    }

    /// Ids of an overlay mean nothing over another tokenizer. Only embedded ones have names that can be trusted.
    fn check_base(&self, overlay: &AddedTokens) -> Result<(), TokenizerError> {
        let (Self::Embedded(tokenizer), Some(base)) = (self, &overlay.base) else { return Ok(()) };
        if EmbeddedTokenizer::find(base).is_some_and(|base| base == *tokenizer) {
            return Ok(());
        }
        Err(TokenizerError::WrongBase {
            overlay: overlay.name.clone(),
            base: base.clone(),
            tokenizer: tokenizer.name.to_owned(),
        })
    }
}

/// Whether a text is no path to anything, and `ORG/NAME` of a repository.
fn may_be_hub(text: &str) -> bool {
    text.contains('/') && is_repo_name(text) && !text.ends_with(".json") && !Path::new(text).exists()
}

fn unknown(name: &str) -> TokenizerError {
    let names = embedded().flat_map(|known| std::iter::once(&known.name).chain(known.aliases));
    let lower = name.to_lowercase();
    let nearest = names.map(|known| (distance(&lower, known), *known)).min();
    // Half the name wrong is no slip any more.
    let nearest = nearest.filter(|(distance, _)| *distance * 2 <= name.chars().count());
    TokenizerError::UnknownName {
        name: name.to_owned(),
        nearest: nearest.map(|(_, known)| known),
        known: embedded().map(|known| known.name).collect::<Vec<_>>().join(", "),
    }
}

/// The number of characters to insert, delete or replace to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let next = (diagonal + usize::from(x != *y)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, next);
            left = next;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in
            [("", "", 0), ("abc", "", 3), ("", "ab", 2), ("qwn3", "qwen3", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_repository_without_its_prefix_is_told() {
        let told =
            |text: &str| matches!(text.parse::<TokenizerSource>(), Err(TokenizerError::MaybeHub { .. }));
        assert!(told("Qwen/Qwen3-0.6B"));
        // These are paths, there or not.
        for path in ["no/such/tokenizer.json", "./model", "a/b/c", "src/tokenizer", "src/lib.rs", "/tmp"] {
            assert!(!told(path), "{path}");
        }
    }

    #[test]
    fn hub_names() {
        let parse = |text: &str| text.parse::<TokenizerSource>().map(|source| source.to_string());
        assert_eq!(parse("hf:Qwen/Qwen3-0.6B").unwrap(), "hf:Qwen/Qwen3-0.6B");
        assert_eq!(parse("hf:gpt2@refs/pr/1").unwrap(), "hf:gpt2@refs/pr/1");
        for bad in [
            "hf:",
            "hf:/a",
            "hf:a/",
            "hf:a/b/c",
            "hf:../x",
            "hf:a/b@",
            "hf:a/b@x/../y",
            "hf:a b/c",
            "hf:a/b@x y",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
