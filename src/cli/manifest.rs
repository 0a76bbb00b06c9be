//! The manifest beside an artifact: `NAME.ron` beside `NAME.tplc`.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::output::{self, cannot_write};
use crate::{artifact::Artifact, template::Manifest};

/// Where the manifest of an artifact is.
pub(super) fn path_of(artifact: &Path) -> PathBuf {
    artifact.with_extension("ron")
}

/// Writes an artifact and its manifest, the manifest first: one that is not of the artifact beside it tells that a run was
/// killed between the two.
pub(super) fn write(artifact: &Path, bytes: &[u8], manifest: &Manifest) -> Result<()> {
    output::write_all_whole(&[(&path_of(artifact), manifest.to_ron()?.as_bytes()), (artifact, bytes)])
}

/// Checks that a manifest would replace nothing but a manifest: a `.ron` file of the same name may well be one's own.
pub(super) fn check(path: &Path) -> Result<()> {
    let ours = !path.exists() || read(path).is_some();
    ensure!(ours, "{}: there is a file of that name which is no manifest", cannot_write(path));
    Ok(())
}

/// The manifest beside an artifact, if there is one that belongs to it.
pub(super) fn beside(path: &Path, artifact: &Artifact) -> Option<Manifest> {
    read(&path_of(path)).filter(|manifest| manifest.is_of(artifact.bytes()))
}

/// What is wrong with the manifest beside an artifact, if there is one: who reads it reads of another artifact.
pub(super) fn fault(path: &Path, artifact: &Artifact) -> Option<String> {
    let beside = path_of(path);
    let other = read(&beside).filter(|manifest| !manifest.is_of(artifact.bytes()))?;
    Some(format!(
        "the manifest beside it, {}, is that of another artifact ({} in {}, {} bytes): a build was killed between writing \
         the two, or one of them was copied alone; build again",
        beside.display(),
        other.source.tokenizer,
        other.source.number_format,
        other.bytes
    ))
}

fn read(path: &Path) -> Option<Manifest> {
    Manifest::from_ron(&std::fs::read_to_string(path).ok()?).ok()
}
