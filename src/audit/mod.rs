//! Audit: what is wrong with a generation, token by token.
//!
//! An [`Auditor`] holds a generation against the molecule that it should have written: literals must be there, every hole
//! must hold three numbers of the format, and ids must be those that the tokenizer gives for the text. It reads the text
//! and encodes it again; it knows nothing of automata, so that it can judge what they let through. A [`Judge`] reads
//! generations from lines of JSON, and asks the automaton of an artifact as well: the two must agree.

mod auditor;
mod hole;
mod judge;
mod judgement;
mod totals;

pub use auditor::Auditor;
pub use judge::{AuditError, AuditReport, Judge, Judged};
pub use judgement::{Judgement, JunkCount, JunkKind, Verdict};
pub use totals::{Example, Totals};
