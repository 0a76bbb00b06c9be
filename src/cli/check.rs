//! `tplc check`: whether an artifact is whole, exact, and made for a tokenizer.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde::Serialize;

use super::{
    ExitStatus, Format, GENERAL, GlobalArgs,
    corpus::added_tokens,
    format, output,
    progress::Bar,
    table::{count, counted},
    threads::threads,
};
use crate::{
    artifact::{Artifact, Tables},
    template::{Certificate, CertificateError, Manifest, certify, same_tokenizer},
    tokenizer::{AddedTokens, Tokenizer, TokenizerSource, embedded},
};

const EXAMPLES: &str = "\
Examples:
  tplc check qwen.tplc                           for its embedded tokenizer
  tplc check mine.tplc --tokenizer ./my-model    for the tokenizer of a model
  tplc check qwen.tplc --exhaustive              and the proof again

Put it into CI: if the tokenizer has changed, the exit status is 1.";

/// Check that an artifact is whole and fits its tokenizer; prove it again.
///
/// A manifest beside the artifact must be its own.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    /// The artifact.
    artifact: PathBuf,
    /// The tokenizer it must fit; without one, the embedded one it was built for.
    #[arg(long, short, value_name = "NAME|PATH|hf:ORG/NAME", help_heading = "Tokenizer")]
    tokenizer: Option<TokenizerSource>,
    /// Added tokens to lay over it, RON or JSON; repeatable.
    #[arg(long, value_name = "FILE", help_heading = "Tokenizer")]
    added_tokens: Vec<PathBuf>,
    /// Try every number and every literal against the tokenizer.
    #[arg(long, help_heading = "Proof")]
    exhaustive: bool,
    /// Check only that the file is undamaged: no tokenizer is needed, and none is compared.
    #[arg(long, conflicts_with_all = ["tokenizer", "exhaustive"], help_heading = "Proof")]
    integrity: bool,
    /// Threads, as many as there are cores at most; 0 takes one for each.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = threads, help_heading = GENERAL)]
    threads: usize,
    /// How to print the result.
    #[arg(long, help_heading = GENERAL, default_value = "text", value_parser = format::of(&["text", "json"]))]
    pub(super) format: Format,
}

/// The answer as JSON, schema `tplc.check/1`.
#[derive(Serialize)]
struct Answer {
    schema: &'static str,
    artifact: String,
    good: bool,
    /// What is wrong; `null` if nothing is.
    fault: Option<String>,
    tokenizer: Option<String>,
    molecules: Option<usize>,
    certificate: Option<Certificate>,
}

impl CheckArgs {
    pub(super) fn run(&self, global: &GlobalArgs) -> Result<ExitStatus> {
        let mut answer = Answer {
            schema: "tplc.check/1",
            artifact: self.artifact.display().to_string(),
            good: false,
            fault: None,
            tokenizer: None,
            molecules: None,
            certificate: None,
        };
        match Artifact::open(&self.artifact) {
            // A file that is not there is no answer.
            Err(error @ crate::artifact::Error::Read { .. }) => return Err(error.into()),
            Err(error) => answer.fault = Some(error.to_string()),
            Ok(artifact) => {
                answer.molecules = Some(artifact.len());
                if !self.integrity {
                    self.judge(artifact.tables(), global, &mut answer)?;
                }
                answer.fault = answer.fault.or_else(|| Manifest::fault(&self.artifact, &artifact));
            }
        }
        answer.good = answer.fault.is_none();
        match global.format {
            Format::Json => output::print_json(&answer)?,
            Format::Text | Format::Markdown | Format::Jsonl => output::print(&render(&answer))?,
        }
        Ok(if answer.good { ExitStatus::Success } else { ExitStatus::Failure })
    }

    fn judge(&self, tables: &Arc<Tables>, global: &GlobalArgs, answer: &mut Answer) -> Result<()> {
        let tokenizer = self.load(tables)?;
        answer.tokenizer = Some(tokenizer.name().to_owned());
        // Without a literal there is no text to try.
        let proven = match self.exhaustive && answer.molecules != Some(0) {
            false => same_tokenizer(tables, &tokenizer).map(|()| None),
            true => {
                let (bar, moved) = Bar::of_share(global, "proving".to_owned());
                let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build()?;
                let proven = pool.install(|| certify(tables, &tokenizer, &moved));
                bar.finish();
                proven.map(Some)
            }
        };
        match proven {
            Ok(certificate) => answer.certificate = certificate,
            Err(error @ CertificateError::Tokenizer(_)) => return Err(error.into()),
            Err(error) => answer.fault = Some(error.to_string()),
        }
        Ok(())
    }

    fn load(&self, tables: &Tables) -> Result<Tokenizer> {
        let overlays = added_tokens(&self.added_tokens)?;
        if let Some(source) = &self.tokenizer {
            return Ok(source.load(&overlays)?);
        }
        load_embedded(tables, &overlays).context("--integrity checks the file alone")
    }
}

/// The embedded tokenizer that tables were built for.
pub(super) fn load_embedded(tables: &Tables, overlays: &[AddedTokens]) -> Result<Tokenizer> {
    let name = &tables.header.tokenizer;
    let base = name.split('+').next().unwrap_or(name);
    let known = embedded().find(|known| known.name == base);
    let known = known.ok_or_else(|| anyhow!("the artifact was built for {name}, which is not embedded"));
    let source = known.context("name the tokenizer with --tokenizer")?;
    Ok(TokenizerSource::Embedded(source).load(overlays)?)
}

fn render(answer: &Answer) -> String {
    if let Some(fault) = &answer.fault {
        return format!("{}: no\n  {fault}\n", answer.artifact);
    }
    let molecules = counted(answer.molecules.unwrap_or(0) as u64, "molecule");
    let Some(tokenizer) = &answer.tokenizer else {
        return format!(
            "{}: good\n  undamaged, {molecules}\n  compared with no tokenizer\n",
            answer.artifact
        );
    };
    let proven = match &answer.certificate {
        Some(proof) => format!(
            "exact: {} numbers and {} literals tried against the tokenizer, {} paths counted",
            count(proof.numbers),
            count(proof.literals),
            count(proof.number_paths)
        ),
        None if answer.molecules == Some(0) => "there is nothing to prove".to_owned(),
        None => "not proven again: --exhaustive tries everything".to_owned(),
    };
    format!("{}: good\n  undamaged, {molecules}\n  made for {tokenizer}\n  {proven}\n", answer.artifact)
}
