//! Functions that Athena has and DataFusion lacks, so that one statement works in both: `from_utf8`, `json_array_length`,
//! `if`, `max_by`, `min_by`. Functions for JSON come from `datafusion-functions-json`, those for lists from DataFusion.
//!
//! What must stay true: a function gives NULL for what it cannot read, and never ends a query because of a value.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::utils::take_function_args;
use datafusion::common::{Result, not_impl_err, plan_err};
use datafusion::execution::FunctionRegistry;
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::conditional_expressions::CaseBuilder;
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::binary::type_union_coercion;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, create_udf,
};
use serde::de::IgnoredAny;

/// Makes all of them known.
pub(super) fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    datafusion_functions_json::register_all(registry)?;
    for function in [
        function("from_utf8", DataType::Binary, DataType::Utf8, from_utf8),
        function("json_array_length", DataType::Utf8, DataType::Int64, json_array_length),
        ScalarUDF::from(If { signature: Signature::user_defined(Volatility::Immutable) }),
    ] {
        registry.register_udf(Arc::new(function))?;
    }
    for (name, is_ascending) in [("max_by", false), ("min_by", true)] {
        let signature = Signature::any(2, Volatility::Immutable);
        registry.register_udaf(Arc::new(AggregateUDF::from(By { name, is_ascending, signature })))?;
    }
    Ok(())
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

/// `if(condition, value, otherwise)`, a short CASE: the value that is not chosen is not computed. Without the last it is
/// NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
struct If {
    signature: Signature,
}

impl ScalarUDFImpl for If {
    fn name(&self) -> &str {
        "if"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [_, value] => Ok(vec![DataType::Boolean, value.clone()]),
            [_, value, otherwise] => match type_union_coercion(value, otherwise) {
                Some(both) => Ok(vec![DataType::Boolean, both.clone(), both]),
                None => plan_err!("if: {value} and {otherwise} are not of one type"),
            },
            _ => plan_err!("if takes a condition, a value, and a value for where it does not hold"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[1].clone())
    }

    fn short_circuits(&self) -> bool {
        true
    }

    fn simplify(&self, arguments: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let mut arguments = arguments.into_iter();
        let (when, then) = (arguments.by_ref().take(1).collect(), arguments.by_ref().take(1).collect());
        let case = CaseBuilder::new(None, when, then, arguments.next().map(Box::new)).end()?;
        Ok(ExprSimplifyResult::Simplified(case))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        not_impl_err!("if is planned as CASE")
    }
}

/// `max_by(value, by)` and `min_by(value, by)`: the value of the row where `by` is largest or smallest. Rows without `by`
/// do not count.
#[derive(Debug, PartialEq, Eq, Hash)]
struct By {
    name: &'static str,
    is_ascending: bool,
    signature: Signature,
}

impl AggregateUDFImpl for By {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        let (name, is_ascending) = (self.name, self.is_ascending);
        Some(Box::new(move |function: AggregateFunction, _: &SimplifyContext| {
            let parameters = function.params;
            let [value, by] = take_function_args(name, parameters.args)?;
            let has_by = by.clone().is_not_null();
            let filter = match parameters.filter {
                Some(filter) => filter.and(has_by),
                None => has_by,
            };
            let order = vec![Sort::new(by, is_ascending, false)];
            let first = AggregateFunction::new_udf(
                first_value_udaf(),
                vec![value],
                parameters.distinct,
                Some(Box::new(filter)),
                order,
                None,
            );
            Ok(Expr::AggregateFunction(first))
        }))
    }

    fn state_fields(&self, _: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(Vec::new())
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("{} has no OVER; use first_value(...) OVER (... ORDER BY ...)", self.name)
    }
}
