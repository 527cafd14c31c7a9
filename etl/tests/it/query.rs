use std::collections::BTreeMap;

use iotlake::catalog::Catalog;
use iotlake::contract;
use iotlake::error::Hint;
use iotlake::ledger::{Ledger, Output};
use iotlake::query::{Answer, Format, QueryError, Session, TABLE_ROWS, TableKind, write};
use iotlake::view::{ViewType, rigado_view};
use iotlake_flatten::{Contract, Type};

use crate::lake::Lake;
use crate::support;

const HOUR_5: &str = "s3://raw/2026/03/01/05/a";
const HOUR_6: &str = "s3://raw/2026/03/01/06/b";

fn open(lake: &Lake) -> Session {
    Session::open(&lake.whole()).unwrap()
}

fn text(answer: &Answer, format: Format) -> String {
    let mut out = Vec::new();
    write(answer, format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn json(session: &Session, sql: &str) -> String {
    text(&session.run(sql).unwrap_or_else(|error| panic!("{sql}: {error} {error:?}")), Format::Json)
}

/// Message and hint of a statement that does not work.
fn refusal(session: &Session, sql: &str) -> (String, String) {
    let error = session.run(sql).unwrap_err();
    (error.to_string(), error.hint().unwrap_or_default().to_owned())
}

/// Two hours of a device; the first lacks what the second has.
fn two_hours() -> Lake {
    let lake = Lake::new();
    lake.create_table("telemetry", Contract::default());
    lake.ingest("telemetry", HOUR_5, br#"{"ts":1,"device":{"deviceId":"d1"}}"#);
    let later = br#"{"ts":2,"device":{"deviceId":"d2"},"measurements":{"temperature":21.5,"rssi":-63}}
{"ts":9007199254740993,"device":{"deviceId":"d3"},"on":true,"list":[1,{"a":2}]}
nonsense
"#;
    lake.ingest("telemetry", HOUR_6, later);
    lake
}

#[test]
fn rows_have_their_lineage_their_columns_and_their_partition() {
    let lake = two_hours();
    let session = open(&lake);
    let rows = json(&session, "SELECT * FROM telemetry ORDER BY _source, _record");
    let lines: Vec<_> = rows.lines().collect();
    let first = r#"{"_source":"s3://raw/2026/03/01/05/a","_record":1,"_overflow":null,"ts":1,"device.deviceid":"d1","list":null,"measurements.rssi":null,"measurements.temperature":null,"on":null,"year":"2026","month":"03","day":"01","hour":"05"}"#;
    let last = r#"{"_source":"s3://raw/2026/03/01/06/b","_record":2,"_overflow":null,"ts":9007199254740993,"device.deviceid":"d3","list":"[1,{\"a\":2}]","measurements.rssi":null,"measurements.temperature":null,"on":true,"year":"2026","month":"03","day":"01","hour":"06"}"#;
    assert_eq!((lines.len(), lines[0], lines[2]), (3, first, last));
    let rejects = json(&session, "SELECT _record, reason, line, length, hour FROM telemetry_rejects");
    assert_eq!(rejects, "{\"_record\":3,\"reason\":\"syntax\",\"line\":3,\"length\":9,\"hour\":\"06\"}\n");
}

#[test]
fn names_fold_to_lower_case_and_dots_need_quotes() {
    let lake = two_hours();
    let session = open(&lake);
    let expected = "{\"device.deviceid\":\"d2\",\"ts\":2}\n";
    for sql in [
        r#"SELECT "device.deviceid", TS FROM Telemetry WHERE "measurements.temperature" > 21"#,
        r#"SELECT t."device.deviceid", T.ts FROM telemetry AS t WHERE t."measurements.temperature" = 21.5;"#,
    ] {
        assert_eq!(json(&session, sql), expected);
    }
    let dot = |name: &str| format!("a name with a dot or a hyphen needs double quotes: \"{name}\"");
    for sql in [
        "SELECT device.deviceid FROM telemetry",
        "SELECT t.device.deviceId FROM telemetry t",
        "SELECT count(*) FROM telemetry GROUP BY DEVICE.deviceid",
        "SELECT 1 FROM telemetry WHERE device.deviceid = 'd1'",
    ] {
        assert_eq!(refusal(&session, sql).1, dot("device.deviceid"), "{sql}");
    }
    let (message, hint) = refusal(&session, "SELECT temperature FROM telemetry");
    assert_eq!(message, "there is no column `temperature`");
    assert_eq!(hint, "did you mean \"measurements.temperature\"?");
    let (_, hint) = refusal(&session, r#"SELECT "device.deviceId" FROM telemetry"#);
    assert_eq!(hint, "column names are lower case: \"device.deviceid\"");
    let (message, hint) = refusal(&session, "SELECT * FROM telemetri");
    assert_eq!(
        (&*message, &*hint),
        ("there is no table `telemetri`", "there are telemetry, telemetry_rejects")
    );
    let (message, _) = refusal(&session, "SELEC 1");
    assert!(message.starts_with("Expected: an SQL statement, found: SELEC"), "{message}");
}

#[test]
fn a_table_with_a_hyphen_needs_quotes() {
    let lake = Lake::new();
    lake.create_table("iot-data", Contract::default());
    lake.ingest("iot-data", HOUR_5, b"{\"ts\":1}");
    let session = open(&lake);
    assert_eq!(json(&session, r#"SELECT count(*) AS n FROM "iot-data""#), "{\"n\":1}\n");
    let (_, hint) = refusal(&session, "SELECT * FROM iot-data");
    assert_eq!(hint, "a name with a dot or a hyphen needs double quotes: \"iot-data\"");
}

#[test]
fn conditions_on_the_partition_decide_which_files_are_opened() {
    let lake = two_hours();
    let session = open(&lake);
    let plan = |condition: &str| {
        let sql = format!("EXPLAIN SELECT ts FROM telemetry WHERE {condition}");
        let plan = text(&session.run(&sql).unwrap(), Format::Csv);
        (plan.contains("hour=05/"), plan.contains("hour=06/"))
    };
    assert_eq!(plan("ts > 0"), (true, true));
    assert_eq!(plan("hour = '05'"), (true, false));
    assert_eq!(plan("year = '2026' AND month = '03' AND day = '01' AND hour >= '06'"), (false, true));
    assert_eq!(plan("year || month || day || hour > '2026030105'"), (false, true));

    // A file that is pruned may be anything: it is not looked into.
    let name = format!("{}-0.parquet", iotlake::digest::source_hash(HOUR_5));
    let file = lake.root().join("telemetry/year=2026/month=03/day=01/hour=05").join(name);
    assert!(file.is_file());
    std::fs::write(file, "garbage").unwrap();
    let counted = json(&session, "SELECT count(*) AS n FROM telemetry WHERE hour = '06'");
    assert_eq!(counted, "{\"n\":2}\n");
    let error = session.run("SELECT count(*) FROM telemetry").unwrap_err();
    assert!(matches!(error, QueryError::Failed(_)), "{error:?}");
    assert_eq!(error.hint().unwrap(), "`iotlake audit` finds files that do not fit their table");
}

#[test]
fn only_what_receipts_name_and_the_catalog_knows_is_read() {
    let lake = two_hours();
    let session = open(&lake);
    let count = || json(&session, "SELECT count(*) AS n, count(DISTINCT _record) AS d FROM telemetry");
    let folder = "telemetry/year=2026/month=03/day=01/hour=06";
    let hash = iotlake::digest::source_hash(HOUR_6);
    let bytes = lake.storage.read(&format!("{folder}/{hash}-0.parquet")).unwrap().unwrap();
    assert_eq!(count(), "{\"n\":3,\"d\":2}\n");
    assert_eq!(session.unread(), []);

    // What an attempt has written that was superseded, or is not done, and what a run left whose source has no receipt.
    let other = iotlake::digest::source_hash("s3://raw/none");
    let strays = [format!("{folder}/{hash}-00000-r1.parquet"), format!("{folder}/{other}-00000.parquet")];
    for key in &strays {
        lake.storage.put(key, &bytes).unwrap();
    }
    // The same rows in an hour that the catalog does not have.
    let unknown = format!("telemetry/year=2026/month=03/day=01/hour=07/{hash}-00001.parquet");
    lake.storage.put(&unknown, &bytes).unwrap();
    let receipt = Ledger::new(lake.storage.clone()).head("telemetry", HOUR_6).unwrap().unwrap();
    let key = Ledger::key("telemetry", HOUR_6);
    let named = |outputs: &[&String], revision| {
        let mut receipt = receipt.clone();
        let like = receipt.outputs[0].clone();
        receipt.outputs.extend(outputs.iter().map(|key| Output { key: (*key).clone(), ..like.clone() }));
        receipt.revision = revision;
        lake.storage.put(&key, &serde_json::to_vec(&receipt).unwrap()).unwrap();
    };
    named(&[&unknown], 0);
    assert_eq!(count(), "{\"n\":3,\"d\":2}\n");
    let unread: Vec<String> = session.unread().into_iter().map(|unread| unread.message).collect();
    let root = lake.root().display();
    assert_eq!(
        unread,
        [
            format!(
                "2 files of telemetry not read: no receipt names them, such as {root}/{}",
                strays.iter().min().unwrap()
            ),
            format!(
                "1 file of telemetry not read: the catalog lacks their partition, such as {root}/{unknown}"
            ),
        ]
    );
    // The receipt decides, not the newest name.
    named(&[&strays[0]], 1);
    assert_eq!(count(), "{\"n\":5,\"d\":2}\n");
}

#[test]
fn partition_values_are_text_with_their_zeros() {
    let lake = two_hours();
    let session = open(&lake);
    let count =
        |condition: &str| json(&session, &format!("SELECT count(*) AS n FROM telemetry WHERE {condition}"));
    assert_eq!(count("month = '03'"), "{\"n\":3}\n");
    assert_eq!(count("month = '3'"), "{\"n\":0}\n");
    lake.ingest("telemetry", "/data/undated", b"{}");
    let row = json(&session, "SELECT year, month, day, hour FROM telemetry WHERE year = '0000'");
    assert_eq!(row, "{\"year\":\"0000\",\"month\":\"00\",\"day\":\"00\",\"hour\":\"00\"}\n");
}

#[test]
fn what_has_no_files_has_no_rows() {
    let lake = Lake::new();
    lake.create_table("telemetry", contract::builtin("rigado").unwrap());
    lake.catalog.put_view(&rigado_view("telemetry")).unwrap();
    let session = open(&lake);
    for table in ["telemetry", "telemetry_rejects", "telemetry_rigado"] {
        assert_eq!(session.run(&format!("SELECT * FROM {table}")).unwrap().rows(), 0, "{table}");
        assert_eq!(json(&session, &format!("SELECT count(*) AS n FROM {table}")), "{\"n\":0}\n");
    }
    assert_eq!(json(&session, "SELECT max(ts) AS ts FROM telemetry"), "{\"ts\":null}\n");
    assert_eq!(text(&session.run("SELECT ts FROM telemetry").unwrap(), Format::Csv), "ts\r\n");
    let kinds: Vec<_> = session.tables().iter().map(|table| (table.name.as_str(), table.kind)).collect();
    let expected = [
        ("telemetry", TableKind::Data),
        ("telemetry_rejects", TableKind::Rejects),
        ("telemetry_rigado", TableKind::View),
    ];
    assert_eq!(kinds, expected);
    // What is ingested while the session is open is there in the next query.
    lake.ingest("telemetry", HOUR_5, b"{\"ts\":1}");
    assert_eq!(json(&session, "SELECT ts FROM telemetry_rigado"), "{\"ts\":1}\n");
}

#[test]
fn a_lake_may_lie_in_a_folder_of_any_name() {
    let parent = tempfile::tempdir().unwrap();
    for name in ["with space", "a*b", "50%", "q?", "h#", "[x]", "größe", "a+b", "{y}"] {
        let lake = two_hours();
        let root = parent.path().join(name);
        std::fs::rename(lake.root(), &root).unwrap();
        std::fs::create_dir(lake.root()).unwrap();
        let session = Session::open(&iotlake::lake::Lake::open_local(&root).unwrap()).unwrap();
        let counted = json(&session, "SELECT count(*) AS n FROM telemetry");
        assert_eq!(counted, "{\"n\":3}\n", "{name}");
    }
}

/// A lake that lies in no file system is read by the very same requests as one on S3.
#[test]
fn a_lake_in_memory_answers_and_only_matching_partitions_are_opened() {
    let lake = support::memory_lake();
    let summary = support::run(&lake, &support::dirty_source(), &support::small_parts());
    let session = Session::open(&lake).unwrap();
    let rows = json(&session, "SELECT count(*) AS n FROM events");
    assert_eq!(rows, format!("{{\"n\":{}}}\n", summary.counts.rows));
    let hours = json(&session, "SELECT hour, count(*) AS n FROM events GROUP BY hour ORDER BY hour");
    let rejects = json(&session, "SELECT count(*) AS n FROM events_rejects");
    assert_eq!(rejects, format!("{{\"n\":{}}}\n", summary.counts.rejected));
    let first: serde_json::Value = serde_json::from_str(hours.lines().next().unwrap()).unwrap();

    // Whatever lies in the other partitions now cannot be read.
    let mine = format!("/hour={}/", first["hour"].as_str().unwrap());
    for (key, _) in support::contents(&*lake.storage) {
        if key.starts_with("events/") && !key.contains(&mine) {
            lake.storage.put(&key, b"garbage").unwrap();
        }
    }
    let sql = format!("SELECT count(*) AS n FROM events WHERE hour = '{}'", first["hour"].as_str().unwrap());
    assert_eq!(json(&session, &sql), format!("{{\"n\":{}}}\n", first["n"]));
    assert!(matches!(session.run("SELECT count(ts) AS n FROM events").unwrap_err(), QueryError::Failed(_)));
}

#[test]
fn nothing_but_queries_is_run() {
    let lake = two_hours();
    let session = open(&lake);
    for sql in [
        "CREATE TABLE x AS SELECT 1",
        "CREATE VIEW x AS SELECT 1",
        "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '/tmp/x'",
        "DROP TABLE telemetry",
        "INSERT INTO telemetry SELECT * FROM telemetry",
        "COPY telemetry TO 'x.parquet'",
        "EXPLAIN ANALYZE COPY telemetry TO 'x.parquet'",
        "SET datafusion.execution.batch_size = 1",
    ] {
        let error = session.run(sql).unwrap_err();
        assert!(matches!(error, QueryError::Refused { .. } | QueryError::Sql { .. }), "{sql}: {error:?}");
    }
    let (message, _) = refusal(&session, "DROP TABLE telemetry");
    assert_eq!(message, "only SELECT is allowed; got DROP TABLE");
    for sql in [
        "SHOW TABLES",
        "DESCRIBE telemetry",
        "EXPLAIN SELECT 1",
        "VALUES (1)",
        "WITH t AS (SELECT 1) SELECT * FROM t",
    ] {
        session.run(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    assert!(session.run("SELECT 1; SELECT 2").is_err());
    assert!(session.run("").is_err());
}

/// The columns of the kit's data set, by type.
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
fn the_view_of_the_kit_answers_whatever_came() {
    let records = br#"{"ts":1,"device":{"deviceId":"a"},"measurements":{"temperature":19.5,"batteryLevel":100,"rssi":-63,"humidity":47.25}}
{"ts":2,"measurements":{"temperature":19,"batteryLevel":"full","rssi":"-63","humidity":"wet","occupied":true,"count":3}}
{"ts":3,"measurements":{"temperature":1e300,"batteryLevel":9007199254740993,"rssi":-1e300,"humidity":9007199254740991,"count":1.5}}
{"ts":"soon","measurements":{"temperature":1e400,"occupied":"yes","accel":{"x":1,"y":"up","z":[1]},"count":9007199254740992,"version":7,"history":[1]}}
{"measurements":7,"device":["x"]}
"#;
    for contract in ["rigado", "default"] {
        let lake = Lake::new();
        lake.create_table("telemetry", contract::builtin(contract).unwrap());
        lake.catalog.put_view(&rigado_view("telemetry")).unwrap();
        let empty = open(&lake).run("SELECT * FROM telemetry_rigado").unwrap();
        lake.ingest("telemetry", HOUR_5, records);
        let session = open(&lake);
        let all = session.run("SELECT * FROM telemetry_rigado").unwrap();
        assert_eq!((empty.rows(), all.rows()), (0, 5), "{contract}");
        for answer in [&empty, &all] {
            let fields = answer.schema.fields();
            let found: BTreeMap<_, _> =
                fields.iter().map(|field| (field.name().clone(), field.data_type().to_string())).collect();
            let expected: BTreeMap<_, _> = DATA_SET
                .iter()
                .flat_map(|(ty, names)| {
                    names.split_whitespace().map(|name| (name.to_owned(), type_name(*ty)))
                })
                .collect();
            assert_eq!(found, expected, "{contract}");
        }
        let numbers = r#"SELECT ts, "measurements.temperature.int" AS i, "measurements.temperature.double" AS d,
            "measurements.temperature.string" AS s, "measurements.count" AS c, partition_0 AS p, hour AS h
            FROM telemetry_rigado ORDER BY ts"#;
        let expected = [
            r#"{"ts":1,"i":null,"d":19.5,"s":null,"c":null,"p":"all","h":"05"}"#,
            r#"{"ts":2,"i":19,"d":null,"s":null,"c":3,"p":"all","h":"05"}"#,
            r#"{"ts":3,"i":null,"d":1.0e300,"s":null,"c":null,"p":"all","h":"05"}"#,
            r#"{"ts":null,"i":null,"d":null,"s":"1e400","c":null,"p":"all","h":"05"}"#,
            r#"{"ts":null,"i":null,"d":null,"s":null,"c":null,"p":"all","h":"05"}"#,
        ];
        assert_eq!(json(&session, numbers).lines().collect::<Vec<_>>(), expected, "{contract}");
        // Its own query: two calendar days, as strings.
        let days =
            "SELECT * FROM telemetry_rigado WHERE year = '2026' AND month = '03' AND day IN ('01', '28')";
        assert_eq!(session.run(days).unwrap().rows(), 5);
    }
}

fn type_name(ty: ViewType) -> String {
    match ty {
        ViewType::String => "Utf8",
        ViewType::Integer => "Int64",
        ViewType::Decimal => "Float64",
        ViewType::Boolean => "Boolean",
    }
    .to_owned()
}

#[test]
fn numbers_keep_every_digit_in_every_format() {
    let lake = Lake::new();
    lake.create_table("t", Contract::empty().declare("at", Type::Timestamp));
    let record = br#"{"at":"2026-03-01T09:00:00.123456Z","d":0.1,"e":1e300,"l":9223372036854775807,"s":"a \"b\",\r\nc","x":""}"#;
    lake.ingest("t", HOUR_5, record);
    let session = open(&lake);
    let answer = session.run(r#"SELECT "at", d, e, l, s, x, _overflow AS o FROM t"#).unwrap();
    let expected = r#"{"at":"2026-03-01T09:00:00.123456Z","d":0.1,"e":1.0e300,"l":9223372036854775807,"s":"a \"b\",\r\nc","x":"","o":null}"#;
    assert_eq!(text(&answer, Format::Json), expected.to_owned() + "\n");
    let expected = "at,d,e,l,s,x,o\r\n2026-03-01T09:00:00.123456Z,0.1,1e300,9223372036854775807,\
                    \"a \"\"b\"\",\r\nc\",\"\",\r\n";
    assert_eq!(text(&answer, Format::Csv), expected);

    // What is no number in JSON is none in the answer either.
    let endless = session.run("SELECT 1e308 * 10 AS n, 'NaN'::double AS m").unwrap();
    assert_eq!(text(&endless, Format::Json), "{\"n\":null,\"m\":null}\n");
    assert_eq!(text(&endless, Format::Csv), "n,m\r\ninf,NaN\r\n");

    let mut parquet = Vec::new();
    let rows = session.write("SELECT * FROM t", Format::Parquet, &mut parquet).unwrap();
    assert_eq!((rows, &parquet[..4]), (1, &b"PAR1"[..]));
}

#[test]
fn the_frame_for_the_eye_ends_somewhere_and_says_so() {
    let lake = Lake::new();
    let session = open(&lake);
    let shown = |sql: &str| text(&session.run(sql).unwrap(), Format::Table);
    assert_eq!(shown("SELECT 1 AS n"), "+---+\n| n |\n+---+\n| 1 |\n+---+\n1 row\n");
    assert_eq!(shown("SELECT 1 AS n WHERE false"), "+---+\n| n |\n+---+\n+---+\n0 rows\n");
    // What a device sends does not reach the terminal as a command.
    assert!(shown("SELECT chr(27) || '[2J' AS n").contains(r"\u{1b}[2J"));
    let many = shown("SELECT * FROM generate_series(1, 1500)");
    assert_eq!(many.lines().count(), TABLE_ROWS + 5);
    assert!(many.ends_with("1500 rows, of which the first 1000 are shown\n"), "{}", &many[many.len() - 80..]);
}
