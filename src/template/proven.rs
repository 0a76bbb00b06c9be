//! An artifact with what was proven of it.

use super::{CertificateError, Collector, Compiler, Manifest, certify};
use crate::{artifact::Artifact, corpus::InputCounts};

/// How far a certificate has come, 0 to 1, told from any thread.
pub type Tried<'a> = &'a (dyn Fn(f64) + Sync);

impl Collector {
    /// The bytes of the artifact and its manifest. With `tried`, everything is tried against the tokenizer first, and that
    /// is told of the share done; `input` is told in the manifest.
    ///
    /// # Errors
    /// [`CertificateError`] if a literal cannot be compiled, or something does not hold.
    pub fn prove(
        &self,
        compiler: &Compiler<'_>,
        input: InputCounts,
        tried: Option<Tried<'_>>,
    ) -> Result<(Vec<u8>, Manifest), CertificateError> {
        let bytes = self.build(compiler)?;
        // What will be read is what is proven.
        let artifact = Artifact::from_bytes(bytes.as_slice())?;
        let tried = tried.filter(|_| !artifact.is_empty());
        let certificate =
            tried.map(|tried| certify(artifact.tables(), compiler.tokenizer(), tried)).transpose()?;
        let manifest = Manifest::new(&artifact, input, certificate);
        drop(artifact);
        Ok((bytes, manifest))
    }
}
