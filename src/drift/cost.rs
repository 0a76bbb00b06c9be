//! What junk costs: the cost model of position templates.

use serde::{Deserialize, Serialize};

/// Constants of the cost model: what one position that carries junk costs.
///
/// The defaults are published figures of one H100 (a Qwen3-0.6B-sized model, batch 32): a forward pass of 7 to 12 ms,
/// 0.5 ms of sampling, 1 ms of memory operations, 4.65 µs a kernel launch, 2.91 million launches for 38,195 tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostModel {
    /// One forward pass, in ms.
    pub pass_ms: f64,
    /// Sampling one token, in ms.
    pub sampling_ms: f64,
    /// Memory operations of one pass, in ms.
    pub memory_ms: f64,
    /// One kernel launch, in µs.
    pub launch_us: f64,
    /// Kernel launches of one pass.
    pub launches: f64,
    /// What one lost token costs, in passes. The default is ours: a coordinate with a digit cut off has to be written
    /// again, and a hole is about 20 tokens.
    pub lost_passes: f64,
    /// Molecules of the run that is costed.
    pub samples: u64,
    /// Molecules that share one pass.
    pub batch: u64,
}

/// What the junk of one placeholder costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Forward passes that only write junk, per molecule.
    pub junk_passes_per_molecule: f64,
    /// Their time in seconds, per molecule decoded alone.
    pub seconds_per_molecule: f64,
    /// Their time in seconds for all samples, decoded in batches.
    pub seconds_per_run: f64,
    /// Their share of all passes of the template, 0 to 1.
    pub share: f64,
}

impl Default for CostModel {
    fn default() -> Self {
        Self {
            pass_ms: 9.5,
            sampling_ms: 0.5,
            memory_ms: 1.0,
            launch_us: 4.65,
            launches: 76.0,
            lost_passes: 20.0,
            samples: 64,
            batch: 32,
        }
    }
}

impl CostModel {
    /// Seconds that one pass takes.
    #[must_use]
    pub fn seconds_per_pass(&self) -> f64 {
        (self.pass_ms + self.sampling_ms + self.memory_ms) / 1e3 + self.launch_us * self.launches / 1e6
    }

    /// The cost of junk and lost tokens, in passes.
    #[must_use]
    pub fn passes(&self, junk: f64, lost: f64) -> f64 {
        junk + self.lost_passes * lost
    }

    /// The cost of `junk` junk tokens a molecule in templates of `positions` tokens a molecule.
    #[must_use]
    pub fn cost(&self, junk: f64, positions: f64) -> Cost {
        let seconds_per_molecule = junk * self.seconds_per_pass();
        let batches = self.samples.div_ceil(self.batch.max(1)) as f64;
        Cost {
            junk_passes_per_molecule: junk,
            seconds_per_molecule,
            seconds_per_run: seconds_per_molecule * batches,
            share: if positions > 0.0 { junk / positions } else { 0.0 },
        }
    }
}
