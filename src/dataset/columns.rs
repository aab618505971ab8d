//! Scored records as the columns of a Parquet file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use crate::error::{Error, Place, Result};

/// A row group is written once it has so many rows, or so many bytes of text.
const ROWS: usize = 16_384;
const BYTES: usize = 32 << 20;

/// Writes the records of `input` (lines of JSON, called `from`) to `output` (called `to`).
///
/// Columns: `id`, `student`, `reward`, a `part_NAME` for the value of each part found, `error`,
/// `structure`, `parts` (with weights and reasons for skips) and `other` (every further key), the last
/// three as JSON. What a record lacks is null.
pub(super) fn write(input: BufReader<File>, from: &Path, output: File, to: &Path) -> Result<File> {
    let wrong = |e: parquet::errors::ParquetError| match e {
        parquet::errors::ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => Error::io("write the output", to, *source),
            Err(source) => Error::data(format!("cannot write Parquet: {source}")).at(Place::file(to)),
        },
        other => Error::data(format!("cannot write Parquet: {other}")).at(Place::file(to)),
    };
    let parts = part_names(from)?;
    let schema = Arc::new(schema(&parts).map_err(wrong)?);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(output, schema, Arc::new(properties)).map_err(wrong)?;
    let mut rows = Vec::new();
    let mut bytes = 0;
    for line in lines(input, from) {
        let (length, row) = line?;
        bytes += length;
        rows.push(row);
        if rows.len() >= ROWS || bytes >= BYTES {
            write_group(&mut writer, &rows, &parts).map_err(wrong)?;
            rows.clear();
            bytes = 0;
        }
    }
    if !rows.is_empty() {
        write_group(&mut writer, &rows, &parts).map_err(wrong)?;
    }
    writer.into_inner().map_err(wrong)
}

/// The records of the partial file, each with its length. They are this program's own lines.
fn lines(
    input: BufReader<File>,
    from: &Path,
) -> impl Iterator<Item = Result<(usize, Map<String, Value>)>> + '_ {
    input.split(b'\n').enumerate().map(move |(at, line)| {
        let line = line.map_err(|e| Error::io("read the partial output", from, e))?;
        let place = || Place::line(from, at as u64 + 1);
        let row = serde_json::from_slice(&line)
            .map_err(|e| Error::data(format!("this line is no record: {e}")).at(place()))?;
        Ok((line.len(), row))
    })
}

fn part_names(from: &Path) -> Result<Vec<String>> {
    let file = File::open(from).map_err(|e| Error::io("read the partial output", from, e))?;
    let mut names = BTreeSet::new();
    for line in lines(BufReader::new(file), from) {
        let (_, row) = line?;
        for name in row.get("parts").and_then(Value::as_object).into_iter().flat_map(Map::keys) {
            if !names.contains(name) {
                names.insert(name.clone());
            }
        }
    }
    Ok(names.into_iter().collect())
}

fn schema(parts: &[String]) -> parquet::errors::Result<Type> {
    let column = |name: &str, physical: Physical| {
        let builder = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        let text = (physical == Physical::BYTE_ARRAY).then_some(LogicalType::String);
        builder.with_logical_type(text).build().map(Arc::new)
    };
    let mut fields = vec![
        column("id", Physical::BYTE_ARRAY)?,
        column("student", Physical::INT64)?,
        column("reward", Physical::DOUBLE)?,
    ];
    for name in parts {
        fields.push(column(&format!("part_{name}"), Physical::DOUBLE)?);
    }
    for name in ["error", "structure", "parts", "other"] {
        fields.push(column(name, Physical::BYTE_ARRAY)?);
    }
    Type::group_type_builder("scored").with_fields(fields).build()
}

type Row = Map<String, Value>;

fn write_group(
    writer: &mut SerializedFileWriter<File>,
    rows: &[Row],
    parts: &[String],
) -> parquet::errors::Result<()> {
    const NAMED: [&str; 6] = ["id", "student", "reward", "error", "structure", "parts"];
    let json = |value: &Value| match value {
        Value::Null => None,
        value => Some(value.to_string()),
    };
    let mut group = writer.next_row_group()?;
    texts(&mut group, rows, |row| plain(row.get("id")?))?;
    integers(&mut group, rows, |row| row.get("student")?.as_i64())?;
    doubles(&mut group, rows, |row| row.get("reward")?.as_f64())?;
    for name in parts {
        doubles(&mut group, rows, |row| row.get("parts")?.get(name)?.get("value")?.as_f64())?;
    }
    texts(&mut group, rows, |row| plain(row.get("error")?))?;
    texts(&mut group, rows, |row| json(row.get("structure")?))?;
    texts(&mut group, rows, |row| json(row.get("parts")?))?;
    texts(&mut group, rows, |row| {
        let other: Row = row
            .iter()
            .filter(|(key, _)| !NAMED.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        (!other.is_empty()).then(|| Value::Object(other).to_string())
    })?;
    group.close().map(drop)
}

/// Text as it is; anything else as JSON.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Writes the next column.
macro_rules! column {
    ($name:ident, $kind:ty, $value:ty, $into:expr) => {
        fn $name(
            group: &mut SerializedRowGroupWriter<'_, File>,
            rows: &[Row],
            get: impl Fn(&Row) -> Option<$value>,
        ) -> parquet::errors::Result<()> {
            let Some(mut column) = group.next_column()? else {
                return Err(parquet::errors::ParquetError::General("a column too many".into()));
            };
            let cells: Vec<Option<$value>> = rows.iter().map(get).collect();
            let levels: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
            let values: Vec<_> = cells.into_iter().flatten().map($into).collect();
            column.typed::<$kind>().write_batch(&values, Some(&levels), None)?;
            column.close()
        }
    };
}

column!(texts, ByteArrayType, String, |text: String| ByteArray::from(text.into_bytes()));
column!(integers, Int64Type, i64, |value| value);
column!(doubles, DoubleType, f64, |value| value);
