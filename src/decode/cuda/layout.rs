//! What kernels take by value, as `common.cu` and `choose.cu` declare it.

#![allow(unsafe_code, reason = "a promise to the kernels cannot be checked")]

use super::driver::{Argument, Pointer};

/// `struct Rows`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Rows {
    pub(super) tokens: Pointer,
    pub(super) script: Pointer,
    pub(super) script_length: Pointer,
    pub(super) length: Pointer,
    pub(super) prompt: Pointer,
    pub(super) longest: Pointer,
    pub(super) row: Pointer,
    pub(super) begin_state: Pointer,
    pub(super) begin_number: Pointer,
    pub(super) program: Pointer,
    pub(super) passes: Pointer,
    pub(super) ended: Pointer,
    pub(super) job: Pointer,
    pub(super) read: Pointer,
    pub(super) state: Pointer,
    pub(super) number: Pointer,
    pub(super) drafted: Pointer,
    pub(super) wanted: Pointer,
    pub(super) packed: Pointer,
    pub(super) position: Pointer,
    pub(super) slot: Pointer,
    pub(super) counters: Pointer,
    pub(super) slots: i32,
    pub(super) jobs: i32,
    pub(super) context: i32,
}

/// `struct Guide`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Guide {
    pub(super) states: Pointer,
    pub(super) edge_tokens: Pointer,
    pub(super) edge_targets: Pointer,
    pub(super) columns: Pointer,
    pub(super) programs: Pointer,
    pub(super) blocked: Pointer,
    pub(super) lists: Pointer,
    pub(super) list_ends: [u32; 3],
    pub(super) separator: u32,
    pub(super) end: u32,
    pub(super) forces: u32,
    pub(super) draft: u32,
    pub(super) kind: Kind,
}

/// `enum Kind`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    #[default]
    Free,
    Blocklist,
    Allowlist,
    Exact,
}

/// `struct Sampling`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Sampling {
    pub(super) temperature: f64,
    pub(super) top_p: f64,
    pub(super) min_p: f64,
    pub(super) seed: u64,
    pub(super) top_k: u32,
    pub(super) _pad: u32,
}

// SAFETY: fields in the order and of the types of the kernels' structures, laid out as C does.
unsafe impl Argument for Rows {}
// SAFETY: as above.
unsafe impl Argument for Guide {}
// SAFETY: as above.
unsafe impl Argument for Sampling {}
