//! Stands in for `parquet.rs` in a build without that feature, so that callers need not know.

use std::path::Path;
use std::sync::Arc;

use super::frame::Cut;
use super::{BytesRead, CorpusError, CorpusOptions};

/// Never made: opening says that the feature is missing.
pub(super) enum ParquetRows {}

impl ParquetRows {
    pub(super) fn open(
        _path: &Path,
        file: &Arc<str>,
        _options: &CorpusOptions,
        _count: BytesRead,
    ) -> Result<Self, CorpusError> {
        Err(CorpusError::NoParquet { file: Arc::clone(file) })
    }

    pub(super) fn next(&mut self) -> Result<Option<Cut>, CorpusError> {
        match *self {}
    }
}
