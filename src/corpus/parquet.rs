//! Parquet: each row is read as the JSON line that it stands for. The only file that knows the `parquet` crate.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::frame::Cut;
use super::{BytesRead, CorpusError, CorpusOptions, JsonFields, RowFault};

/// The rows of one Parquet file, a row group at a time in memory.
pub(super) struct ParquetRows {
    rows: RowIter<'static>,
    row: u64,
    ended: bool,
    /// Compressed bytes of each row group and the last of its rows, next group last.
    groups: Vec<(u64, u64)>,
    count: BytesRead,
}

impl ParquetRows {
    pub(super) fn open(
        path: &Path,
        file: &Arc<str>,
        options: &CorpusOptions,
        count: BytesRead,
    ) -> Result<Self, CorpusError> {
        let wrong = |reason: String| CorpusError::Parquet { file: Arc::clone(file), reason };
        let unreadable = |source| CorpusError::Unreadable { path: path.to_owned(), source };
        let bytes = File::open(path).map_err(unreadable)?;
        let reader = SerializedFileReader::new(bytes).map_err(|error| wrong(error.to_string()))?;
        let metadata = reader.metadata();
        let wanted = wanted_columns(metadata.file_metadata().schema(), options).map_err(wrong)?;
        let mut last = 0;
        let mut groups: Vec<(u64, u64)> = (metadata.row_groups().iter())
            .map(|group| {
                last += u64::try_from(group.num_rows()).unwrap_or(0);
                (u64::try_from(group.compressed_size()).unwrap_or(0), last)
            })
            .collect();
        groups.reverse();
        let rows = RowIter::from_file_into(Box::new(reader)).project(Some(wanted));
        Ok(Self {
            rows: rows.map_err(|error| wrong(error.to_string()))?,
            row: 0,
            ended: false,
            groups,
            count,
        })
    }

    /// The next row as a JSON line; a damaged page is the last record, with a fault.
    pub(super) fn next(&mut self) -> Result<Option<Cut>, CorpusError> {
        if self.ended {
            return Ok(None);
        }
        let next = self.rows.next();
        self.row += 1;
        while let Some((bytes, _)) = self.groups.pop_if(|(_, last)| *last <= self.row) {
            self.count.add(bytes);
        }
        let cut = |bytes, fault| Ok(Some(Cut { line: self.row, bytes, fault }));
        match next {
            Some(Ok(row)) => cut(json_line(&row), None),
            Some(Err(error)) => {
                self.ended = true;
                cut(Vec::new(), Some(RowFault::Compression(error.to_string())))
            }
            None => {
                self.ended = true;
                Ok(None)
            }
        }
    }
}

/// The part of the schema that a row is read from.
fn wanted_columns(schema: &Type, options: &CorpusOptions) -> Result<Type, String> {
    let JsonFields { name, smiles, conformers, canonical, enriched } = &options.fields;
    let names = [name, smiles, conformers, canonical, enriched];
    let columns = schema.get_fields().iter();
    let wanted: Vec<_> =
        columns.filter(|column| names.iter().any(|name| *name == column.name())).cloned().collect();
    let has = |name: &str| wanted.iter().any(|column| column.name() == name);
    let readable = has(enriched) || (has(smiles) && (has(conformers) || !options.conformers));
    if !readable {
        let needed = if options.conformers {
            format!("s {smiles:?} and {conformers:?}")
        } else {
            format!(" {smiles:?}")
        };
        let there: Vec<String> = schema.get_fields().iter().map(|column| column.name().to_owned()).collect();
        let there = options.fields.there(&there);
        return Err(format!("no column{needed}, nor {enriched:?} for enriched text; {there}"));
    }
    Type::group_type_builder(schema.name()).with_fields(wanted).build().map_err(|error| error.to_string())
}

fn json_line(row: &Row) -> Vec<u8> {
    let mut line = vec![b'{'];
    for (index, (name, field)) in row.get_column_iter().enumerate() {
        line.extend_from_slice(if index == 0 { b"" } else { b"," });
        write_string(name, &mut line);
        line.push(b':');
        write_value(field, &mut line);
    }
    line.push(b'}');
    line
}

/// Floats are written as their shortest decimal; non-finite ones as Python writes them, so that reading names them.
fn write_value(field: &Field, line: &mut Vec<u8>) {
    match field {
        Field::Null => line.extend_from_slice(b"null"),
        Field::Str(text) => write_string(text, line),
        Field::Bytes(bytes) => write_string(&String::from_utf8_lossy(bytes.data()), line),
        Field::Float(value) if value.is_finite() => write_number(value, line),
        Field::Float16(value) if value.is_finite() => write_number(value.to_f32(), line),
        Field::Double(value) if value.is_finite() => write_number(value, line),
        Field::Float(value) => write_non_finite(f64::from(*value), line),
        Field::Float16(value) => write_non_finite(value.to_f64(), line),
        Field::Double(value) => write_non_finite(*value, line),
        Field::Int(value) => write_number(value, line),
        Field::Long(value) => write_number(value, line),
        Field::ListInternal(list) => write_list(list.elements().iter(), line),
        // A position as a struct of x, y and z.
        Field::Group(row) => write_list(row.get_column_iter().map(|(_, field)| field), line),
        other => write_string(&other.to_string(), line),
    }
}

fn write_list<'a>(fields: impl Iterator<Item = &'a Field>, line: &mut Vec<u8>) {
    line.push(b'[');
    for (index, field) in fields.enumerate() {
        line.extend_from_slice(if index == 0 { b"" } else { b"," });
        write_value(field, line);
    }
    line.push(b']');
}

fn write_string(text: &str, line: &mut Vec<u8>) {
    // Writing a string to memory cannot fail.
    let _ = serde_json::to_writer(&mut *line, text);
}

fn write_number(value: impl std::fmt::Display, line: &mut Vec<u8>) {
    // Nor can writing a number.
    let _ = write!(line, "{value}");
}

fn write_non_finite(value: f64, line: &mut Vec<u8>) {
    let name: &[u8] = match value {
        f64::INFINITY => b"Infinity",
        f64::NEG_INFINITY => b"-Infinity",
        _ => b"NaN",
    };
    line.extend_from_slice(name);
}
