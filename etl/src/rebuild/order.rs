//! One order out of many lists that each have a part of it.
//!
//! In come things in the order that is preferred, and lists of their places; out comes an order in which every list is
//! sorted, as close to the preferred one as that allows: of all that may come next, the one that is preferred comes.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// The places of `things` in order.
///
/// # Errors
/// The place of one that the lists have both before and behind another.
pub(super) fn order<T>(things: &[T], lists: &[Vec<usize>]) -> Result<Vec<usize>, usize> {
    let pairs: BTreeSet<(usize, usize)> =
        lists.iter().flat_map(|list| list.windows(2).map(|pair| (pair[0], pair[1]))).collect();
    let mut before = vec![0_usize; things.len()];
    pairs.iter().for_each(|(_, behind)| before[*behind] += 1);
    let free = (0..things.len()).filter(|place| before[*place] == 0);
    let mut next: BinaryHeap<Reverse<usize>> = free.map(Reverse).collect();
    let mut ordered = Vec::with_capacity(things.len());
    while let Some(Reverse(place)) = next.pop() {
        ordered.push(place);
        for (_, behind) in pairs.range((place, 0)..(place + 1, 0)) {
            before[*behind] -= 1;
            if before[*behind] == 0 {
                next.push(Reverse(*behind));
            }
        }
    }
    match before.iter().position(|before| *before > 0) {
        Some(place) => Err(place),
        None => Ok(ordered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_decide_and_preference_does_the_rest() {
        let order = |lists: &[&[usize]]| {
            let lists: Vec<_> = lists.iter().map(|list| list.to_vec()).collect();
            order(&['a', 'b', 'c', 'd'], &lists)
        };
        assert_eq!(order(&[]), Ok(vec![0, 1, 2, 3]));
        assert_eq!(order(&[&[0, 2], &[1, 3]]), Ok(vec![0, 1, 2, 3]));
        assert_eq!(order(&[&[2, 0], &[3, 1]]), Ok(vec![2, 0, 3, 1]));
        assert_eq!(order(&[&[3, 0], &[3, 1, 0]]), Ok(vec![2, 3, 1, 0]));
        assert_eq!(order(&[&[0, 1], &[1, 2], &[2, 0]]), Err(0));
    }
}
