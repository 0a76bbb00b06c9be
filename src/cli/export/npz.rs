//! Exports for NumPy: a zip of arrays, stored as they are, so that the bytes depend on no compressor.

use std::io::{Cursor, Write};

use anyhow::Result;
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use super::arrays::{Export, Values};

/// What is text, beside the arrays.
const FACTS: &str = "tplc.json";

/// Arrays begin at a multiple of this in their file.
const ALIGNMENT: usize = 64;

/// The bytes of the file.
pub(super) fn bytes(export: &Export) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, parts: [&[u8]; 2]| -> Result<()> {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .large_file(u32::try_from(bytes).is_err());
        zip.start_file(name, options)?;
        Ok(parts.iter().try_for_each(|part| zip.write_all(part))?)
    };
    add(FACTS, [export.facts()?.as_bytes(), b"\n"])?;
    for (name, values) in export.named() {
        add(&format!("{name}.npy"), [&header(values), &values.bytes()])?;
    }
    Ok(zip.finish()?.into_inner())
}

/// What stands before the values of an array: the label of version 1.0, and a Python dictionary that is filled up with
/// spaces and ends its line.
fn header(values: Values<'_>) -> Vec<u8> {
    let kind = match values {
        Values::U64(_) => "<u8",
        Values::U32(_) => "<u4",
        Values::Bool(_) => "|b1",
    };
    let dictionary = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({},), }}", values.len());
    let label = b"\x93NUMPY\x01\x00";
    let before = label.len() + size_of::<u16>();
    let filled = (before + dictionary.len() + 1).next_multiple_of(ALIGNMENT) - before;
    let mut header = label.to_vec();
    header.extend((filled as u16).to_le_bytes());
    header.extend(format!("{dictionary:<width$}\n", width = filled - 1).into_bytes());
    header
}
