//! Tokenizers, and models with them, from the Hugging Face hub. The one file that imports `hf_hub`.

use std::path::PathBuf;

/// Where the hub is, and how to reach it.
///
/// Read once from the environment; nothing else in the library looks at environment variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubConfig {
    /// The address of the hub.
    pub endpoint: String,
    /// The cache, shared with Hugging Face's own tools. Without one nothing can be fetched.
    pub cache: Option<PathBuf>,
    /// The access token.
    pub token: Option<String>,
    /// Whether only the cache may be used.
    pub offline: bool,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self { endpoint: "https://huggingface.co".to_owned(), cache: None, token: None, offline: false }
    }
}

impl HubConfig {
    /// From `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`, `HF_TOKEN` (or the file that `hf auth login` writes) and
    /// `HF_HUB_OFFLINE`.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    /// As [`HubConfig::from_env`], with the variables given.
    #[must_use]
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let var =
            |name: &str| var(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let user_home = || var("HOME").or_else(|| var("USERPROFILE"));
        let hf_home = var("HF_HOME").map(PathBuf::from);
        let hf_home =
            hf_home.or_else(|| Some(PathBuf::from(user_home()?).join(".cache").join("huggingface")));
        let token_file = || std::fs::read_to_string(hf_home.as_ref()?.join("token")).ok();
        let saved = || token_file().map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        let yes = |value: String| matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on");
        Self {
            endpoint: var("HF_ENDPOINT")
                .map(|endpoint| endpoint.trim_end_matches('/').to_owned())
                .unwrap_or(Self::default().endpoint),
            cache: var("HF_HUB_CACHE").map(PathBuf::from).or_else(|| Some(hf_home.as_ref()?.join("hub"))),
            token: var("HF_TOKEN").or_else(saved),
            offline: var("HF_HUB_OFFLINE").is_some_and(yes),
        }
    }
}

/// Whether `repo` can be a repository's name: `NAME` or `ORG/NAME` of letters, digits, `.`, `_` and `-`.
pub(super) fn is_repo_name(repo: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
    repo.split('/').count() <= 2 && repo.split('/').all(part)
}

/// Whether `revision` can be a branch, tag or commit.
pub(super) fn is_revision(revision: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    !revision.is_empty()
        && revision.chars().all(plain)
        && revision.split('/').all(|part| !part.is_empty() && part != "..")
}

/// Makes the tokenizer files of a repository lie in one folder, and returns it.
#[cfg(not(feature = "hub"))]
pub(super) fn fetch(repo: &str, _: Option<&str>, _: &HubConfig) -> Result<PathBuf, super::TokenizerError> {
    Err(super::TokenizerError::HubNotBuilt { repo: repo.to_owned() })
}

/// Makes the files of a model lie in one folder, its weights included, and returns it.
#[cfg(not(feature = "hub"))]
pub(super) fn fetch_model(
    repo: &str,
    revision: Option<&str>,
    config: &HubConfig,
) -> Result<PathBuf, super::TokenizerError> {
    fetch(repo, revision, config)
}

#[cfg(feature = "hub")]
pub(super) use online::{fetch, fetch_model};

#[cfg(feature = "hub")]
mod online {
    use std::{
        collections::{BTreeMap, BTreeSet},
        path::{Path, PathBuf},
    };

    use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
    use hf_hub::{Cache, Repo, RepoType};

    use super::HubConfig;
    use crate::tokenizer::TokenizerError;
    use crate::tokenizer::folder::{ADDED_TOKENS, CONFIG, TOKENIZER, TOKENIZER_CONFIG};

    /// One repository at one revision.
    struct Remote<'a> {
        name: &'a str,
        revision: &'a str,
        config: &'a HubConfig,
        cache: Cache,
    }

    /// Makes the tokenizer files of a repository lie in one folder, and returns it.
    ///
    /// What the cache holds is not asked for again. That an optional file does not exist is remembered the way
    /// Hugging Face's own tools do, as an empty file below `.no_exist/`.
    pub(crate) fn fetch(
        repo: &str,
        revision: Option<&str>,
        config: &HubConfig,
    ) -> Result<PathBuf, TokenizerError> {
        let cache = config.cache.clone().map(Cache::new);
        let revision = revision.unwrap_or("main");
        let none = || Remote { name: repo, revision, config, cache: Cache::new(PathBuf::new()) };
        let Some(cache) = cache else {
            return Err(none().error(TOKENIZER, "there is no cache folder", "set HF_HOME"));
        };
        let remote = Remote { name: repo, revision, config, cache };
        let tokenizer = match remote.cached(TOKENIZER) {
            Some(path) => path,
            None => remote.download(TOKENIZER)?,
        };
        let folder = tokenizer.parent().unwrap_or(Path::new("")).to_owned();
        if !config.offline {
            let commit = folder.file_name().and_then(|name| name.to_str()).unwrap_or(revision);
            // The other files come from the very commit that the tokenizer is of.
            Remote { revision: commit, cache: remote.cache.clone(), ..remote }
                .add_optional(&folder, &[TOKENIZER_CONFIG, ADDED_TOKENS, CONFIG])?;
        }
        Ok(folder)
    }

    /// The weights of a checkpoint: in one file, or in those that an index names.
    const WEIGHTS: &str = "model.safetensors";
    const INDEX: &str = "model.safetensors.index.json";

    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }

    /// Makes the files of a model lie in one folder, its weights included, and returns it.
    pub(crate) fn fetch_model(
        repo: &str,
        revision: Option<&str>,
        config: &HubConfig,
    ) -> Result<PathBuf, TokenizerError> {
        let folder = fetch(repo, revision, config)?;
        let commit = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let cache = Cache::new(config.cache.clone().unwrap_or_default());
        let remote = Remote { name: repo, revision: commit, config, cache };
        if !config.offline {
            remote.add_optional(&folder, &[INDEX])?;
        }
        for file in remote.weights(&folder)? {
            if !folder.join(&file).exists() {
                remote.download(&file)?;
            }
        }
        Ok(folder)
    }

    impl Remote<'_> {
        /// The files of weights.
        fn weights(&self, folder: &Path) -> Result<BTreeSet<String>, TokenizerError> {
            let path = folder.join(INDEX);
            if !path.exists() {
                return Ok(BTreeSet::from([WEIGHTS.to_owned()]));
            }
            let broken =
                |reason: String| self.error(INDEX, &reason, "remove it from the cache to fetch it again");
            let json = std::fs::read(&path).map_err(|error| broken(error.to_string()))?;
            let index: Index = serde_json::from_slice(&json).map_err(|error| broken(error.to_string()))?;
            let files: BTreeSet<String> = index.weight_map.into_values().collect();
            // A name is no way out of the folder.
            match files.iter().find(|file| file.contains(['/', '\\']) || file.starts_with('.')) {
                Some(file) => Err(broken(format!("it names {file:?}, which is no file of the repository"))),
                None => Ok(files),
            }
        }

        fn repo(&self) -> Repo {
            Repo::with_revision(self.name.to_owned(), RepoType::Model, self.revision.to_owned())
        }

        /// The file in the cache: by the branch or tag that was resolved before, or by the commit itself.
        fn cached(&self, file: &str) -> Option<PathBuf> {
            let cache = self.cache.repo(self.repo());
            let by_commit = cache.pointer_path(self.revision).join(file);
            cache.get(file).or_else(|| by_commit.is_file().then_some(by_commit))
        }

        fn add_optional(&self, folder: &Path, files: &[&str]) -> Result<(), TokenizerError> {
            let absent =
                self.cache.path().join(self.repo().folder_name()).join(".no_exist").join(self.revision);
            for &file in files {
                if folder.join(file).exists() || absent.join(file).exists() {
                    continue;
                }
                match self.api()?.download(file) {
                    Ok(_) => {}
                    Err(error) if status(&error) == Some(404) => {
                        // Only a cache: where it cannot be written, the hub is asked again next time.
                        let _ = std::fs::create_dir_all(&absent)
                            .and_then(|()| std::fs::write(absent.join(file), ""));
                    }
                    Err(error) => return Err(self.explain(file, &error)),
                }
            }
            Ok(())
        }

        fn download(&self, file: &str) -> Result<PathBuf, TokenizerError> {
            if self.config.offline {
                let hint = "load it once while online; HF_HUB_OFFLINE also keeps it from being fetched";
                return Err(self.error(file, "it is not in the cache, and only the cache may be used", hint));
            }
            self.api()?.download(file).map_err(|error| self.explain(file, &error))
        }

        fn api(&self) -> Result<ApiRepo, TokenizerError> {
            let api = ApiBuilder::from_cache(self.cache.clone())
                .with_endpoint(self.config.endpoint.clone())
                .with_token(self.config.token.clone())
                .with_progress(false)
                .build();
            Ok(api.map_err(|error| self.explain(TOKENIZER, &error))?.repo(self.repo()))
        }

        /// Says what an error of the hub means.
        fn explain(&self, file: &str, error: &ApiError) -> TokenizerError {
            let (reason, hint) = match status(error) {
                Some(404) if file == TOKENIZER => (
                    "the hub has no such file (404)".to_owned(),
                    "check the repository's name and the revision; the repository may have no tokenizer.json",
                ),
                Some(404) => (
                    "the hub has no such file (404)".to_owned(),
                    "convert the repository's weights to safetensors",
                ),
                Some(code @ (401 | 403)) if self.config.token.is_some() => (
                    format!("the hub refuses access ({code})"),
                    "the token has no access: accept the model's terms on its page, or set another HF_TOKEN",
                ),
                Some(code @ (401 | 403)) => (
                    format!("the hub refuses access ({code})"),
                    "the repository is gated or private, or does not exist: set HF_TOKEN",
                ),
                Some(code) => (format!("the hub answers {code}"), "try again later"),
                None => (error.to_string(), "check the network, HF_ENDPOINT and the cache folder"),
            };
            self.error(file, &reason, hint)
        }

        fn error(&self, file: &str, reason: &str, hint: &str) -> TokenizerError {
            TokenizerError::Hub {
                repo: self.name.to_owned(),
                revision: self.revision.to_owned(),
                file: file.to_owned(),
                reason: reason.to_owned(),
                hint: hint.to_owned(),
            }
        }
    }

    /// The HTTP status in an error. hf-hub keeps it inside an error of its HTTP client, whose text ends with it.
    fn status(error: &ApiError) -> Option<u16> {
        match error {
            ApiError::RequestError(error) => error.to_string().strip_prefix("http status: ")?.parse().ok(),
            _ => None,
        }
    }
}
