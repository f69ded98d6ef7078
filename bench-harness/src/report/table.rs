//! The report for people at a terminal.

use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

use super::document::Report;
use super::terminal::{Layout, draw};

impl Report {
    /// Writes the tables, and what they say.
    ///
    /// # Errors
    /// What the output says.
    pub fn write_table(&self, layout: Layout, mut out: impl Write) -> io::Result<()> {
        for (name, fact) in self.facts() {
            writeln!(out, "{}", layout.paragraph(&format!("{name}: {fact}")))?;
        }
        for part in self.parts() {
            let drawn = draw(&part.sheet, layout.table);
            let title = layout.paragraph(&part.sheet.title);
            write!(out, "\n{title}\n{}", drawn.text)?;
            if !drawn.left_out.is_empty() {
                let note = format!("No room for: {}. --wide shows all.", drawn.left_out);
                writeln!(out, "\n{}", layout.paragraph(&note))?;
            }
            paragraphs(layout, &part.sentences, &mut out)?;
        }
        paragraphs(layout, &self.remarks(), &mut out)?;
        paragraphs(layout, &self.legend(), &mut out)?;
        let told =
            |(reason, names): (String, Vec<String>)| format!("{}: {reason}", names.join(", "));
        let reasons: Vec<String> = self.reasons().into_iter().map(told).collect();
        paragraphs(layout, &reasons, &mut out)?;
        let warnings = self
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}"));
        paragraphs(layout, &warnings.collect::<Vec<_>>(), &mut out)?;
        if let Some(comparison) = &self.comparison {
            writeln!(out, "\nCompared with {}\n", comparison.before.name)?;
            comparison.write_table(layout, &mut out)?;
        }
        out.flush()
    }
}

/// Paragraphs behind an empty line.
fn paragraphs(layout: Layout, all: &[String], out: &mut impl Write) -> io::Result<()> {
    for (index, text) in all.iter().enumerate() {
        let gap = if index == 0 { "\n" } else { "" };
        writeln!(out, "{gap}{}", layout.paragraph(text))?;
    }
    Ok(())
}

/// A table without lines, for lists.
pub fn plain_table() -> Table {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table
}
