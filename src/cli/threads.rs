//! Threads: no more than there are cores.

use std::{num::NonZero, thread::available_parallelism};

/// How many threads to start where so many are asked for: more than there are cores only stand in each other's way. 0 stays
/// 0, which takes one a core.
pub(super) fn threads(text: &str) -> Result<usize, String> {
    let asked: usize = text.parse().map_err(|_| "must be a whole number, 0 or more".to_owned())?;
    Ok(asked.min(available_parallelism().map_or(1, NonZero::get)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_cores_are_as_many() {
        let cores = available_parallelism().unwrap().get();
        assert_eq!(threads("0"), Ok(0));
        assert_eq!(threads("1"), Ok(1));
        assert_eq!(threads("99999"), Ok(cores));
        assert!(threads("-1").is_err());
    }
}
