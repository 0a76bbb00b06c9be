//! Tables and histograms, for the terminal and for Markdown.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, TableStyle, presets};

use super::Format;

/// A rule under the header and nothing else.
const PLAIN: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table with a title. Figures stand right, text columns left.
pub(super) struct Table {
    title: String,
    text_columns: &'static [usize],
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table; `text_columns` are those that hold text.
    pub(super) fn new(title: impl Into<String>, text_columns: &'static [usize], header: &[&str]) -> Self {
        let header = header.iter().map(|&cell| cell.to_owned()).collect();
        Self { title: title.into(), text_columns, header, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table under its title, as text that ends in an empty line.
    pub(super) fn render(self, format: Format) -> String {
        // A bare bar would end the cell in Markdown, in quotes too.
        let cells = |row: Vec<String>| -> Vec<String> {
            match format {
                Format::Markdown => row.iter().map(|cell| cell.replace('|', "\\|")).collect(),
                Format::Text | Format::Json => row,
            }
        };
        let mut table = comfy_table::Table::new();
        table.set_header(cells(self.header)).set_content_arrangement(ContentArrangement::Disabled);
        table.add_rows(self.rows.into_iter().map(cells));
        for (index, column) in table.column_iter_mut().enumerate() {
            let text = self.text_columns.contains(&index);
            column.set_cell_alignment(if text { CellAlignment::Left } else { CellAlignment::Right });
        }
        let heading = match format {
            Format::Markdown => {
                table.load_style(presets::ASCII_MARKDOWN);
                format!("### {}\n\n", self.title)
            }
            Format::Text | Format::Json => {
                table.load_style(PLAIN);
                format!("{}\n", self.title)
            }
        };
        let body: String = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
        heading + &body + "\n"
    }
}

/// A bar of `share` of `width` characters, in eighths of a character.
pub(super) fn bar(share: f64, width: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * (width * 8) as f64).round() as usize;
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    let bar = "█".repeat(eighths / 8) + part;
    if bar.is_empty() && share > 0.0 { "▏".to_owned() } else { bar }
}

/// `1234567` as `1,234,567`.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share as a percentage with two decimals.
pub(super) fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

/// A figure with as many decimals as its size deserves.
pub(super) fn figure(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1000.0 => count(value.round() as u64),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// A time in µs, in the unit that its size deserves.
pub(super) fn micros(value: f64) -> String {
    let (value, unit) = match value.abs() {
        0.0 => return "0".to_owned(),
        size if size >= 1e6 => (value / 1e6, "s"),
        size if size >= 1e3 => (value / 1e3, "ms"),
        size if size >= 1.0 => (value, "µs"),
        _ => (value * 1e3, "ns"),
    };
    format!("{} {unit}", figure(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_by_eighths() {
        assert_eq!(bar(0.0, 4), "");
        assert_eq!(bar(1e-6, 4), "▏");
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(0.53125, 4), "██▏");
        assert_eq!(bar(1.0, 4), "████");
    }

    #[test]
    fn a_bar_ends_no_cell_of_markdown() {
        let rendered = |format| {
            let mut table = Table::new("t", &[0], &["a|b", "n"]);
            table.row(vec!["`||`".to_owned(), "1".to_owned()]);
            table.render(format)
        };
        assert_eq!(
            rendered(Format::Markdown),
            "### t\n\n| a\\|b   | n |\n|--------|---|\n| `\\|\\|` | 1 |\n\n"
        );
        assert!(rendered(Format::Text).contains(" `||`   1\n"));
    }

    #[test]
    fn figures_are_readable() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(percent(0.52534), "52.53%");
        assert_eq!(figure(1234.5), "1,235");
        assert_eq!(figure(0.03), "0.0300");
        assert_eq!(
            [57e6, 1234.0, 4.65, 0.5, 0.0].map(micros),
            ["57.00 s", "1.23 ms", "4.65 µs", "500.0 ns", "0"]
        );
    }
}
