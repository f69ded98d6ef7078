//! The report in Markdown, with the tables of GitHub.

use super::document::Report;
use super::sheet::{Line, Sheet};

impl Report {
    /// The whole report.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# bench-harness {}\n", self.command);
        let mut paragraph = |lines: &[String]| {
            if !lines.is_empty() {
                text.push('\n');
                text.push_str(&lines.join("\n"));
                text.push('\n');
            }
        };
        for part in self.parts() {
            paragraph(&[format!("## {}", escaped(&part.sheet.title))]);
            paragraph(&table(&part.sheet));
            paragraph(&items(&part.sentences));
        }
        paragraph(&["## What it says".to_owned()]);
        paragraph(&items(&self.remarks()));
        let warnings: Vec<String> = self
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}"))
            .collect();
        paragraph(&items(&warnings));
        let reasons: Vec<String> = self
            .reasons()
            .into_iter()
            .map(|(reason, names)| format!("{}: {reason}", names.join(", ")))
            .collect();
        paragraph(&items(&reasons));
        paragraph(&["## How to read it".to_owned()]);
        paragraph(&items(&self.legend()));
        if let Some(comparison) = &self.comparison {
            paragraph(&[comparison.to_markdown(2).trim_end().to_owned()]);
        }
        paragraph(&["## Environment".to_owned()]);
        let facts: Vec<String> = self
            .facts()
            .into_iter()
            .map(|(name, fact)| format!("{name}: {fact}"))
            .collect();
        paragraph(&items(&facts));
        paragraph(&["## How to reproduce it".to_owned()]);
        paragraph(&[format!(
            "With bench-harness {}:",
            self.environment.harness_version
        )]);
        paragraph(&[format!("    {}", self.command_line())]);
        text
    }
}

/// A list.
pub(crate) fn items(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .map(|line| format!("- {}", escaped(line)))
        .collect()
}

/// A sheet without its title.
pub(crate) fn table(sheet: &Sheet) -> Vec<String> {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let names = sheet
        .columns
        .iter()
        .map(|column| escaped(&column.full_name()));
    let rules = sheet
        .columns
        .iter()
        .map(|column| if column.is_text { ":--" } else { "--:" });
    let mut lines = vec![
        line(&names.collect::<Vec<_>>()),
        line(&rules.map(str::to_owned).collect::<Vec<_>>()),
    ];
    lines.extend(sheet.lines.iter().map(|one| {
        match one {
            Line::Section(name) => {
                let mut cells = vec![String::new(); sheet.columns.len()];
                cells[0] = format!("**{}**", escaped(name));
                line(&cells)
            }
            Line::Cells(cells) => line(
                &cells
                    .iter()
                    .map(|cell| escaped(cell.trim()))
                    .collect::<Vec<_>>(),
            ),
        }
    }));
    lines
}

/// Text that Markdown takes for nothing else. Names of contenders and reasons come from outside.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '|' | '*' | '_' | '`' | '<' | '>' | '[' | ']' | '~' | '#' => {
                out.push('\\');
                out.push(character);
            }
            '\n' | '\r' => out.push(' '),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_breaks_no_table() {
        assert_eq!(escaped("a|b\n<c>_d"), "a\\|b \\<c\\>\\_d");
    }
}
