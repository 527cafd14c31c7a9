//! The receipt is the switch: sources that are ingested anew, or removed, while generations have their rows.

use iotlake::query::{Format, QueryError, Session};
use iotlake::remove::{self, Which};

use super::*;
use crate::support::rows_of_query;

const C: &str = "s3://raw/2026/03/01/09/c";

/// A lake in which a run was killed that ingested `c` anew, behind its receipt and in front of the generation with it.
fn killed_behind_the_receipt() -> Lake {
    for at in 0.. {
        let storage = begun(true);
        let lake = Lake::embedded(storage.clone());
        let dying = Stepped::new(&storage, at, || false);
        drop(try_run(&Lake::embedded(dying.clone()), &sources(&["c"], 2), &replacing()));
        if lake.ledger().head(TABLE, C).unwrap().unwrap().revision > 0 {
            assert_eq!(choice(&lake).stale[&hour()], BTreeSet::from([source_hash(C)]));
            return lake;
        }
        assert!(dying.has_acted(), "no run was killed there");
    }
    unreachable!("the loop ends")
}

#[test]
fn a_query_reads_what_receipts_name_whatever_generations_still_have() {
    let lake = killed_behind_the_receipt();
    check_versions(&lake, true, "by receipts");
    assert_eq!(rows_of_query(&lake), seen(&lake));
    let session = Session::open(&lake).unwrap();
    let answer = |sql: &str| {
        let mut text = Vec::new();
        session.write(sql, Format::Csv, &mut text).unwrap();
        String::from_utf8(text).unwrap().replace("\r\n", "\n")
    };
    // Whatever columns are asked for, that of the source or not, under whatever condition.
    assert_eq!(answer("SELECT count(*) AS n FROM events"), "n\n12\n");
    assert_eq!(answer("SELECT v, count(*) AS n FROM events GROUP BY 1 ORDER BY 1"), "v,n\n1.0,9\n2.0,3\n");
    assert_eq!(answer("SELECT sum(v) AS v FROM events WHERE hour = '09' AND of = 'c'"), "v\n6.0\n");
    assert_eq!(answer("SELECT count(*) AS n FROM events WHERE _source LIKE '%/c'"), "n\n3\n");
    assert_eq!(answer("SELECT count(*) AS n FROM (SELECT * FROM events LIMIT 11) AS some"), "n\n11\n");
    assert_eq!(
        answer("SELECT count(*) AS n FROM events a JOIN events b USING (_source, _record)"),
        "n\n12\n"
    );
    // Which no list of files can say.
    let error = session.files(TABLE, None).unwrap_err();
    assert!(matches!(error, QueryError::Stale { sources: 1, .. }), "{error:?}");
    assert_eq!(session.files(TABLE, Some("hour = '10'")).unwrap(), []);
    let found = audit(&*lake.storage, &*lake.catalog, Depth::Bytes).unwrap();
    assert!(found.is_clean() && found.generations.stale == 3 && found.rows == 12, "{found:?}");

    // The next compaction makes a generation without them, and with the new.
    assert_eq!(survey(&lake, TABLE).unwrap()[0].stale, 1);
    assert!(matches!(command(&lake).unwrap(), Outcome::Done(_)));
    assert_eq!(choice(&lake).stale, BTreeMap::new());
    check_versions(&lake, true, "compacted");
    assert_eq!(rows_of_query(&lake), seen(&lake));
    assert_eq!(session.files(TABLE, None).unwrap().len(), 1);
    // What the run that was killed left otherwise, the next one removes.
    run(&lake, &sources(&["c"], 2), &by_arrival());
    assert_sound(&lake, "compacted and completed");
    check_versions(&lake, true, "completed");
}

#[test]
fn a_source_that_is_removed_is_there_or_not_wherever_the_removal_is_killed() {
    for at in 0.. {
        let storage = begun(true);
        let lake = Lake::embedded(storage.clone());
        let remove = |lake: &Lake| {
            let leaving = remove::find(lake, TABLE, Which::Source(C))?;
            remove::remove(lake, &leaving).map(|busy| assert!(busy.is_empty()))
        };
        let dying = Stepped::new(&storage, at, || false);
        let died = remove(&Lake::embedded(dying.clone())).is_err();
        let why = format!("killed at call {at}");
        let has = versions(&lake).contains_key(C);
        let is_done = lake.ledger().head(TABLE, C).unwrap().is_some();
        assert_eq!((has, seen(&lake).len()), (is_done, if is_done { 12 } else { 9 }), "{why}");
        assert_sound(&lake, &why);
        remove(&lake).unwrap();
        assert_eq!((choice(&lake).stale, seen(&lake).len()), (BTreeMap::new(), 9), "{why}, completed");
        assert_sound(&lake, &why);
        command(&lake).unwrap();
        assert_swept(&storage, &why);
        // It can be ingested again, and compacted.
        run(&lake, &sources(&["c"], 2), &by_arrival());
        check_versions(&lake, true, &why);
        command(&lake).unwrap();
        check_versions(&lake, true, &why);
        assert_eq!(seen(&lake).len(), 12, "{why}");
        if !died {
            assert!(at > 20, "only {at} calls");
            break;
        }
    }
}

#[test]
fn a_table_is_dropped_with_its_generations_wherever_that_is_killed() {
    for at in 0.. {
        let storage = begun(true);
        let lake = Lake::embedded(storage.clone());
        let drop_table = |lake: &Lake| {
            let leaving = remove::find(lake, TABLE, Which::All)?;
            remove::drop_table(lake, &leaving).map(|busy| assert!(busy.is_empty()))
        };
        let dying = Stepped::new(&storage, at, || false);
        let died = drop_table(&Lake::embedded(dying.clone())).is_err();
        drop_table(&lake).unwrap();
        let left: Vec<_> = contents(&*storage).into_keys().collect();
        assert!(left.is_empty(), "killed at call {at}: {left:?}");
        if !died {
            assert!(at > 20, "only {at} calls");
            break;
        }
    }
}
