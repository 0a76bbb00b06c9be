//! Tables and histograms, for the terminal and for Markdown.

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, TableStyle, Width, presets,
};

use super::Format;

/// A rule under the header and nothing else.
const PLAIN: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Columns between the contents of two columns, and before the first.
const GAP: usize = 3;

/// A terminal that says it is narrower is taken for this wide: less holds no table.
const NARROWEST: usize = 40;

/// The width of standard output, if it is a terminal.
fn terminal_width() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(usize::from(width.0)).filter(|&width| width > 0).map(|width| width.max(NARROWEST))
}

/// A table with a title. Figures stand right, text columns left. On a terminal it is no wider than that: cells are broken
/// at spaces, and what still does not fit is continued below, under the same labels.
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
        let columns: Vec<usize> = (0..self.header.len()).collect();
        match format {
            Format::Markdown => {
                format!("### {}\n\n{}\n", self.title, self.block(&columns, None, presets::ASCII_MARKDOWN))
            }
            Format::Text | Format::Json | Format::Jsonl => self.lay_out(terminal_width()),
        }
    }

    /// The table for a terminal of this width, or as wide as it comes.
    fn lay_out(&self, width: Option<usize>) -> String {
        let blocks: String = self
            .blocks(width)
            .iter()
            .map(|columns| {
                let widths = width.map(|width| self.widths(columns, width));
                self.block(columns, widths.as_deref(), PLAIN) + "\n"
            })
            .collect();
        format!("{}\n{blocks}", wrapped(&self.title, width))
    }

    /// Which columns stand side by side: all of them if that can be, or else the labels and as many others as fit, again
    /// and again.
    fn blocks(&self, width: Option<usize>) -> Vec<Vec<usize>> {
        let all: Vec<usize> = (0..self.header.len()).collect();
        let Some(width) = width else { return vec![all] };
        let fits = |columns: &[usize]| {
            let narrow: usize = columns.iter().map(|&column| self.least(column) + GAP).sum();
            narrow <= width + 1
        };
        if fits(&all) {
            return vec![all];
        }
        let labels = all.iter().take_while(|column| self.text_columns.contains(column)).count().max(1);
        // Labels that leave no room are not worth repeating, but for the first.
        let labels = if fits(&all[..labels.min(all.len())]) { labels } else { 1 };
        let (labels, others) = all.split_at(labels.min(all.len()));
        let mut blocks = Vec::new();
        let mut block = labels.to_vec();
        for &column in others {
            block.push(column);
            if !fits(&block) && block.len() > labels.len() + 1 {
                block.pop();
                blocks.push(std::mem::replace(&mut block, [labels, &[column]].concat()));
            }
        }
        blocks.push(block);
        blocks
    }

    /// The widths of these columns: as wide as their cells, and narrower one by one, the widest first, until all fit; no
    /// word is broken if that can be.
    fn widths(&self, columns: &[usize], width: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = columns.iter().map(|&column| self.natural(column)).collect();
        let mut least: Vec<usize> = columns.iter().map(|&column| self.least(column)).collect();
        while widths.iter().map(|width| width + GAP).sum::<usize>() > width + 1 {
            let wide = (0..widths.len()).filter(|&at| widths[at] > least[at]).max_by_key(|&at| widths[at]);
            match wide {
                Some(at) => widths[at] -= 1,
                None if least.iter().all(|&least| least <= 1) => break,
                None => least.fill(1),
            }
        }
        widths
    }

    /// How narrow a column can be: words are kept whole, and so are figures with what belongs to them.
    fn least(&self, column: usize) -> usize {
        let text = self.text_columns.contains(&column);
        let cells = self.cells(column).map(|cell| if text { longest_word(cell) } else { characters(cell) });
        let header = self.header.get(column).map_or(0, |header| longest_word(header));
        cells.max().unwrap_or_default().max(header)
    }

    /// How wide a column comes.
    fn natural(&self, column: usize) -> usize {
        let header = self.header.get(column).map_or(0, |header| characters(header));
        self.cells(column).map(characters).max().unwrap_or_default().max(header)
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &str> {
        self.rows.iter().filter_map(move |row| row.get(column)).map(String::as_str)
    }

    /// These columns, as lines.
    fn block(&self, columns: &[usize], widths: Option<&[usize]>, style: TableStyle) -> String {
        // A bare bar would end the cell in Markdown, in quotes too.
        let cells = |row: &Vec<String>| -> Vec<String> {
            let cells = columns.iter().filter_map(|&column| row.get(column));
            cells.map(|cell| if style == PLAIN { cell.clone() } else { cell.replace('|', "\\|") }).collect()
        };
        let mut table = comfy_table::Table::new();
        table.load_style(style).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(cells(&self.header)).add_rows(self.rows.iter().map(cells));
        for (at, column) in table.column_iter_mut().enumerate() {
            let text = columns.get(at).is_some_and(|column| self.text_columns.contains(column));
            column.set_cell_alignment(if text { CellAlignment::Left } else { CellAlignment::Right });
            if let Some(&width) = widths.and_then(|widths| widths.get(at)) {
                let padded = u16::try_from(width + 2).unwrap_or(u16::MAX);
                column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(padded)));
            }
        }
        table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }
}

fn characters(text: &str) -> usize {
    text.chars().count()
}

fn longest_word(text: &str) -> usize {
    text.split(' ').map(characters).max().unwrap_or_default()
}

/// A line of text, broken at spaces where standard output is a terminal.
pub(super) fn paragraph(text: &str) -> String {
    wrapped(text, terminal_width())
}

/// A line of text, broken at spaces into lines of this width.
fn wrapped(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let mut lines = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let length = characters(word);
        if used > 0 && used + 1 + length > width {
            lines.push('\n');
            used = 0;
        } else if !lines.is_empty() {
            lines.push(' ');
            used += 1;
        }
        lines += word;
        used += length;
    }
    lines
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

/// `1 conformer`, `2,000 conformers`: a number of things, `thing` being one of them.
pub(super) fn counted(value: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(value), if value == 1 { "" } else { "s" })
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

    /// A table as `tplc analyze` has them: labels, figures, a bar with words behind it.
    fn wide() -> Table {
        let header = ["", "placeholder", "tokens", "shorter: junk", "longer: cut", "mean tokens", ""];
        let mut table = Table::new("Drift: placeholder tokens minus coordinate tokens", &[0, 1, 6], &header);
        for (label, placeholder, bar) in [
            ("sign of x", "0.0000,0.0000,10.0000 (adaptive)", "████████████ ◂ 0.0000,0.0000,0.0000"),
            ("  trailing zeros", "0.0000,0.0000,0.0000", "▏"),
        ] {
            let cells = [label, placeholder, "20 or 21", "52.53%", "0.00%", "1,234,567.0", bar];
            table.row(cells.map(str::to_owned).to_vec());
        }
        table
    }

    #[test]
    fn tables_are_no_wider_than_the_terminal() {
        let natural = wide().lay_out(None);
        let widest = natural.lines().map(|line| line.chars().count()).max().unwrap();
        assert_eq!(wide().lay_out(Some(widest)), natural);
        for width in NARROWEST..widest {
            let text = wide().lay_out(Some(width));
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
        }
    }

    /// The slow twin: whatever the width, reading the lines column by column gives the words of every cell.
    #[test]
    fn narrow_tables_say_the_same() {
        let words = |cell: &str| cell.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for width in NARROWEST..160 {
            let table = wide();
            let blocks = table.blocks(Some(width));
            let shown: Vec<usize> = {
                let mut shown: Vec<usize> = blocks.concat();
                shown.sort_unstable();
                shown.dedup();
                shown
            };
            assert_eq!(shown, (0..table.header.len()).collect::<Vec<_>>(), "{width}");
            for columns in blocks {
                let widths = table.widths(&columns, width);
                let text = table.block(&columns, Some(&widths), PLAIN);
                let mut start = 1;
                for (&column, &width) in columns.iter().zip(&widths) {
                    let cut = |line: &str| line.chars().skip(start).take(width).collect::<String>();
                    let read =
                        text.lines().filter(|line| !line.starts_with('─')).flat_map(|line| words(&cut(line)));
                    let cells =
                        std::iter::once(&table.header).chain(&table.rows).map(|row| row[column].as_str());
                    let whole: Vec<String> = cells.flat_map(words).collect();
                    let read: Vec<String> = read.collect();
                    // Below its longest word a column breaks words, and only their letters are kept in order.
                    if width >= table.least(column) {
                        assert_eq!(read, whole, "{width}:\n{text}");
                    }
                    assert_eq!(read.concat(), whole.concat(), "{width}:\n{text}");
                    start += width + GAP;
                }
            }
        }
    }

    #[test]
    fn a_line_is_broken_at_spaces() {
        let text = "None of: kernel launches, kernels, copies.";
        assert_eq!(wrapped(text, None), text);
        assert_eq!(wrapped(text, Some(20)), "None of: kernel\nlaunches, kernels,\ncopies.");
        assert_eq!(wrapped(text, Some(3)).replace('\n', " "), text);
        assert_eq!(wrapped("", Some(9)), "");
    }

    #[test]
    fn figures_are_readable() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!([0, 1, 2000].map(|value| counted(value, "atom")), ["0 atoms", "1 atom", "2,000 atoms"]);
        assert_eq!(percent(0.52534), "52.53%");
        assert_eq!(figure(1234.5), "1,235");
        assert_eq!(figure(0.03), "0.0300");
        assert_eq!(
            [57e6, 1234.0, 4.65, 0.5, 0.0].map(micros),
            ["57.00 s", "1.23 ms", "4.65 µs", "500.0 ns", "0"]
        );
    }
}
