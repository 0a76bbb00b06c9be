//! Exports as safetensors.

use std::{borrow::Cow, collections::HashMap};

use anyhow::Result;
use safetensors::{Dtype, View};

use super::arrays::{Export, Values};

/// The bytes of the file.
pub(super) fn bytes(export: &Export) -> Result<Vec<u8>> {
    let tensors = export.named().map(|(name, values)| (name, Tensor { values, shape: [values.len()] }));
    // One entry: several would be written in no order.
    let metadata = HashMap::from([("tplc".to_owned(), export.facts()?)]);
    Ok(safetensors::serialize(tensors, Some(metadata))?)
}

struct Tensor<'a> {
    values: Values<'a>,
    shape: [usize; 1],
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        match self.values {
            Values::U64(_) => Dtype::U64,
            Values::U32(_) => Dtype::U32,
            Values::Bool(_) => Dtype::BOOL,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.bytes().into()
    }

    fn data_len(&self) -> usize {
        self.values.len() * self.values.width()
    }
}
