//! Packs a `tokenizer.json` into the compact form of the embedded tokenizers.
//!
//! ```console
//! $ cargo run --release --example pack_tokenizer -- tokenizer.json tokenizers/NAME.tok.zst
//! ```
#![allow(clippy::print_stdout)]

use std::env;
use std::error::Error;
use std::fs;

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = env::args().skip(1).collect();
    let [from, to] = paths.as_slice() else {
        return Err("usage: pack_tokenizer TOKENIZER_JSON OUT.tok.zst".into());
    };
    let json = fs::read(from)?;
    let packed = tplc::tokenizer::pack(&serde_json::from_slice(&json)?)?;
    fs::write(to, &packed)?;
    println!("{to}: {} bytes, from {}", packed.len(), json.len());
    Ok(())
}
