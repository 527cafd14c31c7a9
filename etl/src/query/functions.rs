//! Functions that Athena has and DataFusion lacks, so that one statement works in both.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use serde::de::IgnoredAny;

/// All of them.
pub(super) fn all() -> Vec<ScalarUDF> {
    vec![
        function("from_utf8", DataType::Binary, DataType::Utf8, from_utf8),
        function("json_array_length", DataType::Utf8, DataType::Int64, json_array_length),
    ]
}

/// A function of one argument, the same whenever it is asked.
fn function(name: &str, takes: DataType, gives: DataType, of: fn(&ArrayRef) -> ArrayRef) -> ScalarUDF {
    let of_values = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        Ok(ColumnarValue::Array(of(&arrays[0])))
    };
    create_udf(name, vec![takes], gives, Volatility::Immutable, Arc::new(of_values))
}

/// Bytes as text; what is not UTF-8 is U+FFFD.
fn from_utf8(bytes: &ArrayRef) -> ArrayRef {
    let texts = bytes.as_binary::<i32>().iter().map(|bytes| bytes.map(String::from_utf8_lossy));
    Arc::new(texts.collect::<StringArray>())
}

/// The number of elements of an array in JSON; NULL for what is none.
fn json_array_length(texts: &ArrayRef) -> ArrayRef {
    let length = |text: &str| Some(serde_json::from_str::<Vec<IgnoredAny>>(text).ok()?.len() as i64);
    let lengths = texts.as_string::<i32>().iter().map(|text| text.and_then(length));
    Arc::new(lengths.collect::<Int64Array>())
}
