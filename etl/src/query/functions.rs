//! Functions that Athena has and DataFusion lacks, so that one statement works in both.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

/// All of them.
pub(super) fn all() -> Vec<ScalarUDF> {
    vec![from_utf8()]
}

/// `from_utf8(bytes)`: bytes as text; what is not UTF-8 is U+FFFD.
fn from_utf8() -> ScalarUDF {
    let function = |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let bytes = arrays[0].as_binary::<i32>();
        let texts: StringArray = bytes.iter().map(|bytes| bytes.map(String::from_utf8_lossy)).collect();
        Ok(ColumnarValue::Array(Arc::new(texts) as ArrayRef))
    };
    create_udf("from_utf8", vec![DataType::Binary], DataType::Utf8, Volatility::Immutable, Arc::new(function))
}
