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
            writeln!(
                out,
                "\n{}\n{}",
                layout.paragraph(&part.sheet.title),
                drawn.text
            )?;
            if !drawn.left_out.is_empty() {
                let left_out = drawn.left_out.join(", ");
                let note = format!("No room for: {left_out}. --wide shows all.");
                writeln!(out, "{}\n", layout.paragraph(&note))?;
            }
            for sentence in part.sentences {
                writeln!(out, "{}", layout.paragraph(&sentence))?;
            }
        }
        for remark in self.remarks() {
            writeln!(out, "{}", layout.paragraph(&remark))?;
        }
        writeln!(out)?;
        for line in self.legend() {
            writeln!(out, "{}", layout.paragraph(&line))?;
        }
        self.write_notes(layout, &mut out)?;
        out.flush()
    }

    fn write_notes(&self, layout: Layout, out: &mut impl Write) -> io::Result<()> {
        for (index, (reason, names)) in self.reasons().into_iter().enumerate() {
            let gap = if index == 0 { "\n" } else { "" };
            let note = format!("{}: {reason}", names.join(", "));
            writeln!(out, "{gap}{}", layout.paragraph(&note))?;
        }
        for (index, warning) in self.warnings.iter().enumerate() {
            let gap = if index == 0 { "\n" } else { "" };
            writeln!(
                out,
                "{gap}{}",
                layout.paragraph(&format!("warning: {warning}"))
            )?;
        }
        Ok(())
    }
}

/// A table without lines, for lists.
pub fn plain_table() -> Table {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table
}
