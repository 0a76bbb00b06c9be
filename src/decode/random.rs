//! Numbers that look random and depend on nothing but their names.

/// Mixes 64 bits so that each depends on all (the finalizer of SplitMix64).
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// One number more in a key.
pub(super) fn join(key: u64, part: u64) -> u64 {
    mix(key.wrapping_add(STEP) ^ mix(part.wrapping_add(STEP)))
}

/// A number strictly between 0 and 1, of 52 bits.
pub(super) fn unit(bits: u64) -> f64 {
    ((bits >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

/// A sequence of numbers by seed and name.
pub(super) struct Draws(u64);

impl Draws {
    pub(super) fn named(seed: u64, name: &str) -> Self {
        Self(name.bytes().fold(mix(seed), |key, byte| join(key, u64::from(byte))))
    }

    /// Between 0 and 1.
    pub(super) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(STEP);
        unit(mix(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_inside_and_even() {
        assert!(unit(0) > 0.0 && unit(u64::MAX) < 1.0);
        let mut draws = Draws::named(1, "even");
        let mean = (0..10_000).map(|_| draws.uniform()).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert_ne!(Draws::named(1, "a").uniform(), Draws::named(2, "a").uniform());
        assert_ne!(Draws::named(1, "a").uniform(), Draws::named(1, "b").uniform());
    }
}
