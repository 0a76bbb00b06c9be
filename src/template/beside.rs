//! The manifest beside an artifact: `NAME.ron` beside `NAME.tplc`.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Manifest;
use crate::{
    artifact::Artifact,
    files::{WriteError, write_all_whole},
};

/// Why an artifact and its manifest are not written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The manifest would replace a file that is none.
    #[error("cannot write {}: there is a file of that name which is no manifest", path.display())]
    NoManifest {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The manifest cannot be put into words.
    #[error(transparent)]
    Ron(#[from] ron::Error),
}

impl Manifest {
    /// Where the manifest of an artifact is.
    #[must_use]
    pub fn path_of(artifact: &Path) -> PathBuf {
        artifact.with_extension("ron")
    }

    /// Writes an artifact and this manifest beside it, the manifest first: one that is not of the artifact beside it tells
    /// that a run was killed between the two.
    ///
    /// # Errors
    /// [`SaveError`] if one cannot be written.
    pub fn save_with(&self, artifact: &Path, bytes: &[u8]) -> Result<(), SaveError> {
        let ron = self.to_ron()?;
        Ok(write_all_whole(&[(&Self::path_of(artifact), ron.as_bytes()), (artifact, bytes)])?)
    }

    /// Checks that a manifest would replace nothing but a manifest: a `.ron` file of the same name may well be one's own.
    ///
    /// # Errors
    /// [`SaveError::NoManifest`] if it would.
    pub fn check_path(path: &Path) -> Result<(), SaveError> {
        match path.exists() && read(path).is_none() {
            true => Err(SaveError::NoManifest { path: path.to_owned() }),
            false => Ok(()),
        }
    }

    /// The manifest beside an artifact, if there is one that belongs to it.
    #[must_use]
    pub fn beside<D: AsRef<[u8]>>(path: &Path, artifact: &Artifact<D>) -> Option<Self> {
        read(&Self::path_of(path)).filter(|manifest| manifest.is_of(artifact.bytes()))
    }

    /// What is wrong with the manifest beside an artifact, if there is one: who reads it reads of another artifact.
    #[must_use]
    pub fn fault<D: AsRef<[u8]>>(path: &Path, artifact: &Artifact<D>) -> Option<String> {
        let beside = Self::path_of(path);
        let other = read(&beside).filter(|manifest| !manifest.is_of(artifact.bytes()))?;
        Some(format!(
            "the manifest beside it, {}, is that of another artifact ({} in {}, {} bytes): a build was killed between \
             writing the two, or one of them was copied alone; build again",
            beside.display(),
            other.source.tokenizer,
            other.source.number_format,
            other.bytes
        ))
    }
}

fn read(path: &Path) -> Option<Manifest> {
    Manifest::from_ron(&std::fs::read_to_string(path).ok()?).ok()
}
