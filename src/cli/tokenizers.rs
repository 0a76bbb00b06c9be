//! `tplc tokenizers`: what is compiled in, and how any tokenizer cuts a text.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    ExitStatus, Format, GlobalArgs,
    corpus::added_tokens,
    format::FormatArgs,
    output, report,
    table::{Table, count, counted},
};
use crate::{
    primitives::TokenId,
    tokenizer::{ChangedNumber, EmbeddedTokenizer, TokenizerEntry, TokenizerSource, embedded},
};

const EXAMPLES: &str = "\
Examples:
  tplc tokenizers                                      what is compiled in
  tplc tokenizers show qwen --text '[C]<-1.5,0,2>'     the tokens of a text
  tplc tokenizers show ./my-model                      of an example text
  tplc tokenizers show qwen --added-tokens mine.ron    with tokens of your own";

/// List the embedded tokenizers, or show how a tokenizer cuts a text.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TokenizersArgs {
    #[command(subcommand)]
    verb: Option<TokenizersVerb>,
    #[command(flatten)]
    pub(super) print: FormatArgs,
}

#[derive(Debug, Subcommand)]
enum TokenizersVerb {
    Show(ShowArgs),
}

/// Show the pieces of a text, with ids and byte spans.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct ShowArgs {
    /// Embedded name, tokenizer.json, model folder, or hf:ORG/NAME[@REV].
    tokenizer: TokenizerSource,
    /// The text.
    #[arg(long, value_name = "TEXT", default_value = "[C]<-1.2345,0.0432,0.1000>[C]<0.2014,-0.4410,0.0000>")]
    text: String,
    /// Added tokens to lay over it, RON or JSON; repeatable.
    #[arg(long, value_name = "FILE")]
    added_tokens: Vec<PathBuf>,
}

/// The list as JSON, schema `tplc.tokenizers/1`.
#[derive(Serialize)]
struct Listing {
    schema: &'static str,
    tokenizers: Vec<TokenizerEntry>,
}

/// The pieces of a text as JSON, schema `tplc.pieces/1`.
#[derive(Serialize)]
struct Pieces<'a> {
    schema: &'static str,
    tokenizer: &'a str,
    fingerprint: String,
    text: &'a str,
    pieces: Vec<Piece>,
    changed_numbers: Vec<ChangedNumber>,
}

#[derive(Serialize)]
struct Piece {
    id: TokenId,
    token: String,
    start: u32,
    end: u32,
}

impl TokenizersArgs {
    pub(super) fn run(&self, global: &GlobalArgs) -> Result<ExitStatus> {
        match &self.verb {
            None => list(global)?,
            Some(TokenizersVerb::Show(args)) => args.show(global)?,
        }
        Ok(ExitStatus::Success)
    }
}

fn list(global: &GlobalArgs) -> Result<()> {
    let tokenizers = embedded().map(EmbeddedTokenizer::entry).collect::<Result<_, _>>()?;
    let listing = Listing { schema: "tplc.tokenizers/1", tokenizers };
    if global.format == Format::Json {
        return output::print_json(&listing);
    }
    let header = ["name", "aliases", "model family", "digits", "licence", "fingerprint", "vocabulary"];
    let mut table = Table::new("Embedded tokenizers", &[0, 1, 2, 3, 4, 5], &header);
    for entry in listing.tokenizers {
        table.row(vec![
            entry.name.to_owned(),
            entry.aliases.join(", "),
            entry.family.to_owned(),
            entry.digits,
            entry.licence.to_owned(),
            entry.fingerprint.chars().take(12).collect(),
            count(entry.vocabulary as u64),
        ]);
    }
    output::print(&table.render(global.format))
}

impl ShowArgs {
    fn show(&self, global: &GlobalArgs) -> Result<()> {
        let overlays = added_tokens(&self.added_tokens)?;
        let tokenizer = self.tokenizer.load(&overlays)?;
        let changed_numbers = tokenizer.changed_numbers();
        let encoding = tokenizer.encode(&self.text)?;
        let pieces: Vec<Piece> = encoding
            .ids
            .iter()
            .zip(&encoding.spans)
            .map(|(&id, span)| Piece {
                id,
                token: tokenizer.token(id).unwrap_or_default(),
                start: span.start,
                end: span.end,
            })
            .collect();
        if global.format == Format::Json {
            return output::print_json(&Pieces {
                schema: "tplc.pieces/1",
                tokenizer: tokenizer.name(),
                fingerprint: tokenizer.fingerprint().to_string(),
                text: &self.text,
                pieces,
                changed_numbers,
            });
        }
        let title = format!(
            "{} cuts {:?} into {}",
            tokenizer.name(),
            self.text,
            counted(pieces.len() as u64, "token")
        );
        let joined = pieces.iter().map(|piece| piece.token.as_str()).collect::<Vec<_>>().join("·");
        let mut table = Table::new(title, &[1, 2], &["id", "token", "bytes"]);
        for piece in &pieces {
            let code = |token: &str| match global.format {
                Format::Markdown => format!("`{token}`"),
                Format::Text | Format::Json | Format::Jsonl => token.to_owned(),
            };
            table.row(vec![
                piece.id.to_string(),
                code(&piece.token),
                format!("{}..{}", piece.start, piece.end),
            ]);
        }
        let changed = report::changed_numbers(&changed_numbers);
        let text = format!("{}{joined}\n\n{changed}", table.render(global.format));
        output::print(&(text.trim_end().to_owned() + "\n"))
    }
}
