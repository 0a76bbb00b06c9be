//! The integration tests: one binary, so one link.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod allocations;
mod audit;
mod audit_twin;
mod certificate;
mod cli;
mod cli_templates;
mod cli_trace;
mod compat;
mod corpus;
mod corpus_faults;
mod corpus_inputs;
#[cfg(feature = "parquet")]
mod corpus_parquet;
mod corpus_properties;
mod crafted;
mod drift;
mod export;
mod golden;
mod layers;
mod llguidance;
mod matcher;
mod outputs;
mod random_smiles;
mod smiles;
mod template;
mod template_faults;
mod text;
mod tiny_model;
mod tokenizer_corpora;
mod tokenizer_embedded;
#[cfg(feature = "hub")]
mod tokenizer_hub;
mod tokenizer_sources;
mod tokenizer_support;
mod trace;
