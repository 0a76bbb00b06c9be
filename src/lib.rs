//! **tplc** measures, and makes impossible, the drift of position templates: language models that write 3D molecules
//! copy a SMILES and fill in coordinates, `[C]<1.2345,-0.6789,2.1234>=[O]<…>`, and a template made from a placeholder
//! counts tokens that real coordinates do not have.
//!
//! Data goes one way, and each module is one word of it:
//!
//! | module | what it holds | key types |
//! | --- | --- | --- |
//! | [`corpus`] | molecules in: SDF, XYZ, JSONL, Parquet, enriched text | [`Corpus`](corpus::Corpus), [`Molecule`](corpus::Molecule), [`Coordinate`](corpus::Coordinate) |
//! | [`text`] | enriched SMILES: literals, holes, number formats | [`Skeleton`](text::Skeleton), [`EnrichedText`](text::EnrichedText), [`NumberFormat`](text::NumberFormat) |
//! | [`tokenizer`] | tokenizers as shipped: compiled in, files, the hub | [`TokenizerSource`](tokenizer::TokenizerSource), [`Tokenizer`](tokenizer::Tokenizer) |
//! | [`drift`] | placeholder tokens minus coordinate tokens, and what that costs | [`Analysis`](drift::Analysis), [`Partial`](drift::Partial), [`Report`](drift::Report) |
//! | [`template`] | exact templates: compiled, proven, merged | [`Compiler`](template::Compiler), [`Collector`](template::Collector), [`certify`](template::certify) |
//! | [`artifact`] | the templates of many molecules as one file | [`Artifact`](artifact::Artifact), [`Template`](artifact::Template) |
//! | [`matcher`] | what may come next, and what comes without a choice | [`Matcher`](matcher::Matcher), [`MatcherBatch`](matcher::MatcherBatch) |
//! | [`audit`] | what is wrong with a generation, token by token | [`Auditor`](audit::Auditor), [`Judge`](audit::Judge), [`Judgement`](audit::Judgement) |
//! | [`trace`] | Chrome traces of PyTorch and of ours: summed up, side by side | [`TraceSummary`](trace::TraceSummary), [`Comparison`](trace::Comparison), [`Recorder`](trace::Recorder) |
//! | [`files`] | files written whole or not at all | [`WholeFile`](files::WholeFile) |
//! | `decode` | models, held by templates or not; feature `validate` | `Decoder`, `Strategy`, `Runner` |
//!
//! **The guarantee of a template:** it accepts a token sequence if and only if it is what the tokenizer, as shipped, gives
//! for the molecule's text with some number of the format in every hole. [`certify`](template::certify) tries every number
//! and every literal against the tokenizer.
//!
//! **The guarantee of a report:** its counts are those of the tokenizer, token for token. They are added from tables of
//! short pieces; a text that the tables cannot vouch for is encoded whole, a sample of all texts is compared with real
//! encoding, and `verify: 1.0` compares every text.
//!
//! ```
//! use tplc::{
//!     corpus::{Corpus, CorpusOptions},
//!     drift::{Analysis, AnalysisOptions, CostModel, Report},
//!     tokenizer::TokenizerSource,
//! };
//!
//! let tokenizers = ["qwen".parse::<TokenizerSource>()?.load(&[])?];
//! let corpus = Corpus::open(&["reference:g2".to_owned()], &CorpusOptions::default())?;
//! let options = AnalysisOptions::default();
//! let mut analysis = Analysis::new(&tokenizers, &options)?;
//! analysis.run(corpus.records(), &mut ())?;
//!
//! let report = Report::new(&analysis.finish()?, CostModel::default());
//! let qwen = &report.tokenizers[0];
//! assert_eq!((qwen.conformers, qwen.atoms), (97, 328));
//! assert_eq!(qwen.placeholders[0].facts.block_free, 20);
//! assert_eq!(qwen.placeholders[0].over.holes, 64);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Features: `cli` (default) is the program; `compile` is everything but the program; without it, [`artifact`] and
//! [`matcher`] are left, which need no tokenizer; `hub` fetches tokenizers from the Hugging Face hub; `parquet` reads
//! Parquet corpora; `validate` decodes with models on the CPU, `cuda` on a GPU.

pub mod artifact;
#[cfg(feature = "compile")]
pub mod audit;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "compile")]
pub mod corpus;
#[cfg(feature = "validate")]
pub mod decode;
#[cfg(feature = "compile")]
pub mod drift;
#[cfg(feature = "compile")]
pub mod files;
pub mod matcher;
pub mod primitives;
#[cfg(feature = "compile")]
pub mod template;
#[cfg(feature = "compile")]
pub mod text;
#[cfg(feature = "compile")]
pub mod tokenizer;
#[cfg(feature = "compile")]
pub mod trace;
