//! The `tplc` program: parse, run, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    tplc::cli::main(std::env::args_os())
}
