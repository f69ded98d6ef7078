//! Hands the report over: to standard output, and to the files that were asked for.

use std::io::{self, Write};
use std::path::Path;

use crate::cli::{Output, ViewArgs};
use crate::notice;
use crate::report::document::Report;
use crate::report::saved;
use crate::report::terminal::Layout;

/// Writes the report wherever it is to go. Every place is tried, and standard output first, so that a full disk takes nothing else with it.
///
/// # Errors
/// One sentence for all that couldn't be written.
pub fn deliver(report: &Report, view: &ViewArgs, save: Option<&Path>) -> Result<(), String> {
    let mut problems = Vec::new();
    if let Err(error) = print(report, view) {
        problems.push(format!("the report can't be written: {error}"));
    }
    if let Some(file) = save {
        // What is saved is the run, whatever it was compared with.
        let mut alone = report.clone();
        alone.comparison = None;
        match saved::store(&alone, file) {
            Ok(Some(elsewhere)) => notice::tell(format_args!(
                "{} is left as it was, as this run is incomplete; what was measured is in {}",
                file.display(),
                elsewhere.display()
            )),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if let Some(file) = &view.html {
        let page = report.to_html();
        if let Err(problem) = saved::write_whole(file, page.as_bytes()) {
            problems.push(problem);
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("; "))
    }
}

fn print(report: &Report, view: &ViewArgs) -> io::Result<()> {
    let out = io::stdout().lock();
    // Tables and Markdown have their warnings in them; what programs read shouldn't hide them from people.
    if matches!(view.output, Output::Json | Output::Csv) {
        let warnings = report.warnings.iter();
        let compared = report.comparison.iter().flat_map(|runs| &runs.warnings);
        let warnings = warnings.chain(compared);
        warnings.for_each(|warning| notice::tell(format_args!("warning: {warning}")));
    }
    match view.output {
        Output::Table => report.write_table(Layout::of_stdout(view.wide), out),
        Output::Json => report.write_json(out),
        Output::Csv => report.write_csv(out),
        Output::Md => {
            let mut out = out;
            out.write_all(report.to_markdown().as_bytes())?;
            out.flush()
        }
    }
}
