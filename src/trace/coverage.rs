//! The time that spans cover, each moment once, in bounded memory and whatever order they come in.

/// Separate stretches that are kept at most: 1 MiB.
const LIMIT: usize = 1 << 16;

/// A stretch of time, in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stretch {
    pub(super) start: i64,
    pub(super) end: i64,
}

impl Stretch {
    pub(super) fn length(self) -> u64 {
        self.end.saturating_sub(self.start).max(0).unsigned_abs()
    }
}

/// Adds up time that is covered. Where there are more gaps than memory is given for, the shortest are bridged and their
/// length is taken off again, so that the sum stays right unless a late span falls into one of them.
#[derive(Clone, Debug)]
pub(super) struct Coverage {
    stretches: Vec<Stretch>,
    limit: usize,
    bridged: u64,
}

impl Default for Coverage {
    fn default() -> Self {
        Self::with_limit(LIMIT)
    }
}

impl Coverage {
    fn with_limit(limit: usize) -> Self {
        Self { stretches: Vec::new(), limit, bridged: 0 }
    }

    pub(super) fn add(&mut self, span: Stretch) {
        match self.stretches.last_mut() {
            Some(last) if last.start <= span.start && span.start <= last.end => {
                last.end = last.end.max(span.end)
            }
            _ => self.stretches.push(span),
        }
        if self.stretches.len() >= self.limit {
            self.merge();
            self.bridge();
        }
    }

    /// The time covered so far, in ns.
    pub(super) fn total(&mut self) -> u64 {
        self.merge();
        let sum = self.stretches.iter().fold(0_u64, |sum, stretch| sum.saturating_add(stretch.length()));
        sum.saturating_sub(self.bridged)
    }

    /// Makes overlapping and touching stretches one.
    fn merge(&mut self) {
        self.stretches.sort_unstable();
        self.stretches.dedup_by(|next, kept| {
            let touches = next.start <= kept.end;
            if touches {
                kept.end = kept.end.max(next.end);
            }
            touches
        });
    }

    /// Closes the shorter half of the gaps, unless merging has made room enough.
    fn bridge(&mut self) {
        if self.stretches.len() <= self.limit / 2 {
            return;
        }
        let gap = |pair: &[Stretch]| Stretch { start: pair[0].end, end: pair[1].start }.length();
        let mut gaps: Vec<u64> = self.stretches.windows(2).map(gap).collect();
        let middle = gaps.len() / 2;
        let (_, &mut median, _) = gaps.select_nth_unstable(middle);
        let bridged = &mut self.bridged;
        self.stretches.dedup_by(|next, kept| {
            let gap = Stretch { start: kept.end, end: next.start }.length();
            let short = gap <= median;
            if short {
                *bridged = bridged.saturating_add(gap);
                kept.end = next.end;
            }
            short
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(spans: &[(u8, u8)]) -> u64 {
        let covered = |moment: i64| {
            spans.iter().any(|&(start, length)| {
                (i64::from(start)..i64::from(start) + i64::from(length)).contains(&moment)
            })
        };
        (0..512).filter(|&moment| covered(moment)).count() as u64
    }

    fn total(limit: usize, spans: &[(u8, u8)]) -> u64 {
        let mut coverage = Coverage::with_limit(limit);
        for &(start, length) in spans {
            let start = i64::from(start);
            coverage.add(Stretch { start, end: start + i64::from(length) });
        }
        assert!(coverage.stretches.len() <= limit);
        coverage.total()
    }

    proptest! {
        #[test]
        fn every_moment_counts_once(mut spans in proptest::collection::vec(any::<(u8, u8)>(), 1..60)) {
            prop_assert_eq!(total(1000, &spans), naive(&spans));
            // In order, no memory is too small.
            spans.sort_unstable();
            prop_assert_eq!(total(4, &spans), naive(&spans));
        }
    }
}
