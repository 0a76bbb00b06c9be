//! The `tplc` program.
fn main() {}
