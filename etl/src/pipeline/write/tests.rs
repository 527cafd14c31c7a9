use super::*;

/// The hour that is so many hours behind the beginning of 2026.
fn hour(number: i64) -> Hour {
    const BEGIN: i64 = 1_767_225_600;
    Hour::of_micros((BEGIN + 3600 * number) * 1_000_000).expect("it is of this century")
}

fn hours(numbers: impl IntoIterator<Item = i64>) -> Vec<Option<Hour>> {
    numbers.into_iter().map(|number| Some(hour(number))).collect()
}

/// The rows of each partition one by one; every row is in exactly one.
fn rows(hours: &[Option<Hour>]) -> BTreeMap<Partition, Vec<u32>> {
    let partitions = partitioned(hours);
    for stretches in partitions.values() {
        assert!(stretches.iter().all(|rows| !rows.is_empty()), "{stretches:?}");
        assert!(stretches.windows(2).all(|pair| pair[0].end < pair[1].start), "not joined: {stretches:?}");
    }
    let rows: BTreeMap<Partition, Vec<u32>> = partitions
        .into_iter()
        .map(|(partition, rows)| (partition, rows.into_iter().flatten().collect()))
        .collect();
    let mut all: Vec<u32> = rows.values().flatten().copied().collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..hours.len() as u32), "a row is nowhere, or twice");
    rows
}

#[test]
fn neighbours_of_an_hour_are_one_stretch_and_hours_may_come_back() {
    let mut mixed = hours([1, 1, 0, 1]);
    mixed.insert(2, None);
    let one = |stretch: Range<u32>| std::iter::once(stretch).collect();
    assert_eq!(
        partitioned(&mixed),
        BTreeMap::from([
            (Partition::UNKNOWN, one(2..3)),
            (Partition::from(hour(0)), one(3..4)),
            (Partition::from(hour(1)), vec![0..2, 4..5]),
        ])
    );
    assert_eq!(partitioned(&[]), BTreeMap::new());
    assert_eq!(rows(&[None, None]), BTreeMap::from([(Partition::UNKNOWN, vec![0, 1])]));
}

#[test]
fn up_to_the_bound_each_hour_has_its_partition() {
    let most = MAX_PARTITIONS as i64 - 1;
    let found = rows(&hours(0..most));
    assert_eq!(found.len(), MAX_PARTITIONS - 1);
    assert!(!found.contains_key(&Partition::UNKNOWN));
    // That of the rows without a time is the last one there may be.
    let mut with_one_more = hours(0..most);
    with_one_more.push(None);
    assert_eq!(rows(&with_one_more).len(), MAX_PARTITIONS);
}

#[test]
fn beyond_the_bound_the_latest_hours_have_none_whatever_the_order_of_rows() {
    let numbers = 0..MAX_PARTITIONS as i64 + 2;
    for numbers in [numbers.clone().collect::<Vec<_>>(), numbers.rev().collect()] {
        let hours = hours(numbers.iter().copied());
        let found = rows(&hours);
        assert_eq!(found.len(), MAX_PARTITIONS);
        let beyond: Vec<i64> = found[&Partition::UNKNOWN].iter().map(|row| numbers[*row as usize]).collect();
        let mut sorted = beyond.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [255, 256, 257]);
        assert!((0..255).all(|number| found.contains_key(&Partition::from(hour(number)))));
        // Different hours without a partition of their own that are neighbours are one stretch.
        assert_eq!(partitioned(&hours)[&Partition::UNKNOWN].len(), 1);
    }
}
