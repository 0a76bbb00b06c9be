//! The drift report for people: text for the terminal, Markdown for pages.

use super::{
    Format,
    table::{Table, bar, count, counted, figure, paragraph, percent},
};
use crate::{
    drift::{BorderReport, PlaceholderReport, Report, TokenizerReport},
    tokenizer::ChangedNumber,
};

/// Width of the longest histogram bar, in characters.
const BAR: usize = 32;

/// The whole report.
pub(super) fn render(report: &Report, format: Format) -> String {
    let mut text = String::new();
    for (index, tokenizer) in report.tokenizers.iter().enumerate() {
        if index > 0 {
            text += "\n";
        }
        text += &heading(tokenizer, format);
        text += &histogram(tokenizer, format);
        text += &drift_table(tokenizer, format);
        for placeholder in tokenizer.placeholders.iter().take(1) {
            text += &why(placeholder, format);
        }
        text += &positions(tokenizer, format);
        text += &borders(&tokenizer.borders, format);
    }
    text += &costs(report, format);
    if report.tokenizers.len() > 1 {
        text += &side_by_side(report, format);
    }
    text.trim_end().to_owned() + "\n"
}

fn heading(tokenizer: &TokenizerReport, format: Format) -> String {
    let title = format!(
        "{} · {} · {}, {}, {}",
        tokenizer.name,
        tokenizer.number_format,
        counted(tokenizer.conformers, "conformer"),
        counted(tokenizer.atoms, "atom"),
        counted(tokenizer.tokens, "token"),
    );
    let mut text = match format {
        Format::Markdown => format!("## {title}\n\n"),
        Format::Text | Format::Json | Format::Jsonl => {
            let title = paragraph(&title);
            let width = title.lines().map(|line| line.chars().count()).max().unwrap_or_default();
            format!("{title}\n{}\n\n", "═".repeat(width))
        }
    };
    if let Some(mixture) = &tokenizer.mixture {
        text += &paragraph(&format!(
            "Mixed number formats: beside numbers with {} decimals there are {} with fewer, {} whose decimals end in zeros, \
             and {} with a minus zero, a plus sign or odd leading zeros.",
            mixture.decimals,
            count(mixture.trimmed),
            count(mixture.zero_ended),
            count(mixture.odd)
        ));
        text += "\n\n";
    }
    text + &changed_numbers(&tokenizer.changed_numbers)
}

/// Warns of added tokens that change how plain numbers are tokenized; empty where there are none.
pub(super) fn changed_numbers(changed: &[ChangedNumber]) -> String {
    if changed.is_empty() {
        return String::new();
    }
    let examples = changed.iter().take(3).map(|number| {
        format!("    {}  {}  was {}\n", number.text, number.after.join("·"), number.before.join("·"))
    });
    format!(
        "Added tokens change how plain coordinates are tokenized; a model trained before they were added has never\n\
         seen these pieces in a number:\n\n{}\n",
        examples.collect::<String>()
    )
}

/// How many tokens the holes have, with the placeholders marked.
fn histogram(tokenizer: &TokenizerReport, format: Format) -> String {
    let mut table = Table::new("Tokens of a hole", &[3], &["tokens", "holes", "share", ""]);
    let most = tokenizer.hole_tokens.values().max().copied().unwrap_or(1).max(1);
    let placeholder_tokens = |placeholder: &PlaceholderReport| {
        placeholder.tokens_in_context.iter().max_by_key(|(_, holes)| **holes).map(|(&tokens, _)| tokens)
    };
    let marked: Vec<(u32, &str)> = tokenizer
        .placeholders
        .iter()
        .filter_map(|placeholder| Some((placeholder_tokens(placeholder)?, placeholder.facts.text.as_str())))
        .collect();
    let mut rows: std::collections::BTreeMap<u32, u64> = tokenizer.hole_tokens.clone();
    for (tokens, _) in &marked {
        rows.entry(*tokens).or_insert(0);
    }
    for (tokens, holes) in rows {
        let names: Vec<&str> = marked.iter().filter(|(at, _)| *at == tokens).map(|(_, name)| *name).collect();
        let mark = if names.is_empty() { String::new() } else { format!(" ◂ {}", names.join(" and ")) };
        table.row(vec![
            tokens.to_string(),
            count(holes),
            percent(share(holes, tokenizer.atoms)),
            bar(share(holes, most), BAR) + &mark,
        ]);
    }
    table.render(format)
}

fn drift_table(tokenizer: &TokenizerReport, format: Format) -> String {
    let mut table = Table::new(
        "Drift: placeholder tokens minus coordinate tokens",
        &[0],
        &[
            "placeholder",
            "tokens",
            "mean",
            "range",
            "p05 p50 p95",
            "shorter: junk",
            "longer: cut",
            "junk/hole",
            "lost/hole",
            "cost/hole",
        ],
    );
    for (placeholder, name) in named(tokenizer) {
        let drift = &placeholder.drift_distribution;
        let tokens: Vec<String> = placeholder.tokens_in_context.keys().map(ToString::to_string).collect();
        table.row(vec![
            name,
            tokens.join(" or "),
            format!("{:+.3}", drift.mean),
            format!("{}..{}", drift.min, drift.max),
            format!("{} {} {}", drift.p05, drift.p50, drift.p95),
            percent(placeholder.under.share),
            percent(placeholder.over.share),
            format!("{:.3}", placeholder.junk_per_hole),
            format!("{:.3}", placeholder.lost_per_hole),
            format!("{:.2}", placeholder.cost_per_hole),
        ]);
    }
    table.render(format)
}

/// The placeholders as tables show them, the adaptive one last.
fn named(tokenizer: &TokenizerReport) -> impl Iterator<Item = (&PlaceholderReport, String)> {
    let adaptive = tokenizer.adaptive.iter().map(|placeholder| (placeholder, " (adaptive)"));
    let all = tokenizer.placeholders.iter().map(|placeholder| (placeholder, "")).chain(adaptive);
    all.map(|(placeholder, note)| (placeholder, placeholder.facts.text.clone() + note))
}

fn why(placeholder: &PlaceholderReport, format: Format) -> String {
    let title = format!("Why: holes against {}", placeholder.facts.text);
    let mut table =
        Table::new(title, &[0, 1], &["", "", "holes", "mean tokens", "shorter: junk", "longer: cut"]);
    for split in &placeholder.splits {
        for group in &split.groups {
            table.row(vec![
                split.by.to_owned(),
                group.value.clone(),
                count(group.holes),
                format!("{:.2}", group.mean_tokens),
                percent(group.under.share),
                percent(group.over.share),
            ]);
        }
    }
    table.render(format)
}

fn positions(tokenizer: &TokenizerReport, format: Format) -> String {
    let mut table = Table::new("Real text", &[0], &["", "tokens", "COPY", "FREE", "in both"]);
    for (unit, rates) in [("per atom", tokenizer.per_atom), ("per molecule", tokenizer.per_molecule)] {
        let rate = |rate: f64| format!("{rate:.2}");
        table.row(vec![
            unit.to_owned(),
            rate(rates.tokens),
            rate(rates.copy),
            rate(rates.free),
            rate(rates.border),
        ]);
    }
    let mut examples = Table::new(
        "Position templates, and logits overwritten per molecule",
        &[0],
        &[
            "placeholder P",
            "<P>",
            "FREE",
            "[C]<P>=[O]<P>",
            "FREE",
            "COPY",
            "blocklist writes",
            "allowlist writes",
        ],
    );
    for (placeholder, name) in named(tokenizer) {
        let facts = &placeholder.facts;
        examples.row(vec![
            name,
            count(facts.block_tokens),
            count(facts.block_free),
            count(facts.pair_tokens),
            count(facts.pair_free),
            count(facts.pair_copy),
            figure(placeholder.blocklist_writes_per_molecule),
            figure(placeholder.allowlist_writes_per_molecule),
        ]);
    }
    table.render(format)
        + &examples.render(format)
        + &paragraph(&format!(
            "The blocklist forbids {} of {} ids; the allowlist allows {}.",
            count(tokenizer.blocked_ids),
            count(tokenizer.width()),
            count(tokenizer.allowed_ids)
        ))
        + "\n\n"
}

fn borders(borders: &BorderReport, format: Format) -> String {
    let mut text = paragraph(&format!(
        "Borders: {} of {} literals before a hole are tokenized by the sign that follows ({} occurrences); \
         {} ids straddle COPY and FREE.",
        count(borders.sign_dependent),
        count(borders.literals),
        count(borders.sign_dependent_occurrences),
        count(borders.straddling.len() as u64),
    )) + "\n\n";
    if !borders.straddling.is_empty() {
        let mut table = Table::new("Straddling tokens", &[1], &["id", "token", "occurrences"]);
        for token in borders.straddling.iter().take(8) {
            table.row(vec![token.id.to_string(), quoted(&token.text), count(token.count)]);
        }
        text += &table.render(format);
    }
    if !borders.examples.is_empty() {
        let mut table = Table::new(
            "Literals that the sign re-tokenizes",
            &[0, 1, 2],
            &["literal", "before a digit", "before a minus", "occurrences"],
        );
        let pieces =
            |pieces: &[String]| pieces.iter().map(|piece| quoted(piece)).collect::<Vec<_>>().join(" ");
        for example in &borders.examples {
            table.row(vec![
                quoted(&example.literal),
                pieces(&example.before_digit),
                pieces(&example.before_minus),
                count(example.count),
            ]);
        }
        text += &table.render(format);
    }
    text
}

fn costs(report: &Report, format: Format) -> String {
    let model = &report.cost_model;
    let title = format!(
        "Cost: junk is time, at {:.2} ms per pass (a run is {} samples in batches of {}); a lost token counts as {} passes",
        model.seconds_per_pass() * 1e3,
        model.samples,
        model.batch,
        model.lost_passes
    );
    let mut table = Table::new(
        title,
        &[0, 1, 2],
        &[
            "tokenizer",
            "format",
            "placeholder",
            "lost/molecule",
            "junk/molecule",
            "cost/molecule",
            "junk s/molecule",
            "junk s/run",
            "of passes",
        ],
    );
    for tokenizer in &report.tokenizers {
        for (placeholder, name) in named(tokenizer) {
            let cost = &placeholder.cost;
            let lost = placeholder.lost_per_molecule;
            table.row(vec![
                tokenizer.name.clone(),
                tokenizer.number_format.clone(),
                name,
                figure(lost),
                figure(placeholder.junk_per_molecule),
                figure(placeholder.junk_per_molecule + model.lost_passes * lost),
                figure(cost.seconds_per_molecule),
                figure(cost.seconds_per_run),
                percent(cost.share),
            ]);
        }
    }
    table.render(format)
}

/// All tokenizers in columns, each figure with its ratio to the first column.
fn side_by_side(report: &Report, format: Format) -> String {
    type Figure = fn(&TokenizerReport) -> f64;
    let rows: [(&str, Figure); 12] = [
        ("tokens per atom", |t| t.per_atom.tokens),
        ("FREE tokens per atom", |t| t.per_atom.free),
        ("COPY tokens per atom", |t| t.per_atom.copy),
        ("tokens per molecule", |t| t.per_molecule.tokens),
        ("tokens, all molecules", |t| t.tokens as f64),
        ("placeholder tokens", |t| of_first(t, |p| p.facts.block_free as f64)),
        ("FREE positions per molecule", |t| of_first(t, |p| p.free_positions_per_molecule)),
        ("junk tokens per molecule", |t| of_first(t, |p| p.junk_per_molecule)),
        ("lost tokens per molecule", |t| of_first(t, |p| p.lost_per_molecule)),
        ("blocked ids", |t| t.blocked_ids as f64),
        ("masking writes per molecule", |t| of_first(t, |p| p.blocklist_writes_per_molecule)),
        ("junk seconds per run", |t| of_first(t, |p| p.cost.seconds_per_run)),
    ];
    let names: Vec<String> = report
        .tokenizers
        .iter()
        .map(|tokenizer| format!("{} {}", tokenizer.name, tokenizer.number_format))
        .collect();
    let header: Vec<&str> = std::iter::once("").chain(names.iter().map(String::as_str)).collect();
    let placeholder = report
        .tokenizers
        .first()
        .and_then(|tokenizer| tokenizer.placeholders.first())
        .map_or("", |placeholder| placeholder.facts.text.as_str());
    let mut table = Table::new(
        format!("Side by side (placeholder {placeholder}; × is the ratio to the first)"),
        &[0],
        &header,
    );
    for (label, value_of) in rows {
        let mut cells = vec![label.to_owned()];
        let base = report.tokenizers.first().map_or(0.0, value_of);
        for (index, tokenizer) in report.tokenizers.iter().enumerate() {
            let value = value_of(tokenizer);
            let ratio =
                if index > 0 && base > 0.0 { format!("  ×{:.2}", value / base) } else { String::new() };
            cells.push(figure(value) + &ratio);
        }
        table.row(cells);
    }
    table.render(format)
}

fn of_first(tokenizer: &TokenizerReport, figure: fn(&PlaceholderReport) -> f64) -> f64 {
    tokenizer.placeholders.first().map_or(0.0, figure)
}

/// A token in quotes, so that its spaces show.
fn quoted(text: &str) -> String {
    format!("`{text}`")
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
