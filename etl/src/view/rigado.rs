//! The view that the QuickSight data set of the Rigado Allegro kit reads.
//!
//! Its names and types are those that the nightly job before iotlake gave to its columns: a measurement that came as
//! integer, fraction or text had three. The table keeps one clean `double` per measurement, and text beside it; this
//! view splits them again. Which paths it reads, the contract `rigado` declares.

use iotlake_flatten::layout::PARTITION_KEYS;
use iotlake_flatten::{Identity, Kind, Path};

use super::{Expression, View, ViewColumn, ViewType};

/// The name of the view on the table `table`.
fn view_name(table: &str) -> String {
    format!("{table}_rigado")
}

/// Paths that the data set reads as text.
const TEXT: [&str; 13] = [
    "device.dtmi",
    "device.gatewayId",
    "device.deviceId",
    "device.capabilityModelId",
    "measurements.lastChange",
    "measurements.interval",
    "measurements.lastSeen",
    "measurements.history",
    "measurements.launchCount",
    "measurements.alarms",
    "measurements.screenType",
    "measurements.displayedPictureId",
    "measurements.version",
];

/// Paths with the columns that the data set reads for each: `.int`, `.double`, `.string`.
const SPLIT: [(&str, bool, bool, bool); 4] = [
    ("measurements.batteryLevel", true, true, true),
    ("measurements.temperature", true, true, true),
    ("measurements.humidity", true, true, false),
    ("measurements.rssi", true, false, true),
];

/// Paths that the data set reads as integers under their plain name.
const WHOLE: [&str; 7] = [
    "measurements.count",
    "measurements.size",
    "measurements.cap",
    "measurements.temp",
    "measurements.maxNodes",
    "measurements.advInterval",
    "measurements.txPower",
];

/// Paths that the data set reads as decimals under their plain name.
const DECIMAL: [&str; 6] = [
    "measurements.accelerometerAverage.avgX",
    "measurements.accelerometerAverage.avgY",
    "measurements.accelerometerAverage.avgZ",
    "measurements.accel.x",
    "measurements.accel.y",
    "measurements.accel.z",
];

/// Paths that the data set reads as booleans.
const BOOLEAN: [&str; 2] = ["measurements.occupied", "measurements.stateChange"];

/// The view on `table` that serves the data set; it is named `<table>_rigado`.
pub fn rigado_view(table: &str) -> View {
    let identity = |path: &str, kind| Identity::new(Path::dotted(path), kind);
    let mut columns = Vec::new();
    let mut add = |name: String, ty, from| columns.push(ViewColumn { name, ty, from });
    let plain = |path: &str| path.to_ascii_lowercase();

    let ts = Expression::Column(identity("ts", Kind::Long));
    add("ts".to_owned(), ViewType::Integer, ts);
    for path in TEXT {
        add(plain(path), ViewType::String, Expression::Column(identity(path, Kind::String)));
    }
    for (path, int, double, string) in SPLIT {
        let number = || identity(path, Kind::Double);
        if int {
            add(plain(path) + ".int", ViewType::Integer, Expression::Whole(number()));
        }
        if double {
            add(plain(path) + ".double", ViewType::Decimal, Expression::Fraction(number()));
        }
        if string {
            let from = Expression::Column(identity(path, Kind::String));
            add(plain(path) + ".string", ViewType::String, from);
        }
    }
    for path in WHOLE {
        add(plain(path), ViewType::Integer, Expression::Whole(identity(path, Kind::Double)));
    }
    for path in DECIMAL {
        add(plain(path), ViewType::Decimal, Expression::Column(identity(path, Kind::Double)));
    }
    for path in BOOLEAN {
        add(plain(path), ViewType::Boolean, Expression::Column(identity(path, Kind::Boolean)));
    }
    add("partition_0".to_owned(), ViewType::String, Expression::Text("all".to_owned()));
    for key in PARTITION_KEYS {
        add(key.to_owned(), ViewType::String, Expression::Partition(key.to_owned()));
    }
    View { name: view_name(table), table: table.to_owned(), columns }
}

#[cfg(test)]
mod tests {
    use iotlake_flatten::Schema;

    use super::super::Dialect;
    use super::*;
    use crate::contract;

    /// The columns of the data set, by type.
    const DATA_SET: [(ViewType, &str); 4] = [
        (
            ViewType::String,
            "device.dtmi device.gatewayid device.deviceid device.capabilitymodelid measurements.lastchange \
             measurements.interval measurements.lastseen measurements.history measurements.launchcount \
             measurements.alarms measurements.screentype measurements.displayedpictureid measurements.version \
             measurements.batterylevel.string measurements.temperature.string measurements.rssi.string partition_0 \
             year month day hour",
        ),
        (
            ViewType::Integer,
            "ts measurements.batterylevel.int measurements.temperature.int measurements.humidity.int \
             measurements.rssi.int measurements.count measurements.size measurements.cap measurements.temp \
             measurements.maxnodes measurements.advinterval measurements.txpower",
        ),
        (
            ViewType::Decimal,
            "measurements.batterylevel.double measurements.temperature.double measurements.humidity.double \
             measurements.accelerometeraverage.avgx measurements.accelerometeraverage.avgy \
             measurements.accelerometeraverage.avgz measurements.accel.x measurements.accel.y measurements.accel.z",
        ),
        (ViewType::Boolean, "measurements.occupied measurements.statechange"),
    ];

    #[test]
    fn it_has_exactly_the_columns_of_the_data_set() {
        let view = rigado_view("telemetry");
        let mut expected: Vec<_> = DATA_SET
            .iter()
            .flat_map(|(ty, names)| names.split_whitespace().map(|name| (name, *ty)))
            .collect();
        let mut found: Vec<_> = view.columns.iter().map(|column| (column.name.as_str(), column.ty)).collect();
        expected.sort_by_key(|(name, _)| *name);
        found.sort_by_key(|(name, _)| *name);
        assert_eq!(found, expected);
    }

    #[test]
    fn the_contract_of_the_kit_declares_all_it_reads() {
        let schema = Schema::new(contract::builtin("rigado").unwrap());
        let sql = rigado_view("telemetry").to_sql(&schema, Dialect::Trino);
        assert!(!sql.contains("NULL AS"), "{sql}");
        let names: Vec<_> = schema.columns().iter().map(|column| column.name.as_str()).collect();
        assert!(names.contains(&"measurements.temperature.string"), "{names:?}");
        // Without the contract it is as good a view, of NULLs.
        let empty = rigado_view("telemetry").to_sql(&Schema::new(Default::default()), Dialect::DataFusion);
        assert!(empty.contains("CAST(NULL AS double) AS \"measurements.accel.x\""), "{empty}");
    }
}
