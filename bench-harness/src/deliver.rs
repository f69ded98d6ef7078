//! Hands the report over: to standard output, and to the files that were asked for.

use std::io::{self, Write};
use std::path::Path;

use crate::cli::{CommonArgs, Output, ReportArgs, ViewArgs};
use crate::compare::CompareArgs;
use crate::notice;
use crate::report::document::Report;
use crate::report::saved;
use crate::report::target::{Named, check_apart, check_writable};
use crate::report::terminal::Layout;

/// Checks that no file of a run is overwritten by another one. `save` is how the place for the results is named.
///
/// # Errors
/// One sentence with both names and the remedy.
pub fn check_run(args: &CommonArgs, save: &'static str) -> Result<(), String> {
    let save = Named::maybe(save, args.save.as_ref());
    let html = Named::maybe("--html", args.view.html.as_ref());
    let payload = Named::maybe("--payload", args.payload.as_ref());
    let baseline = Named::maybe("--baseline", args.baseline.baseline.as_ref());
    let outputs: Vec<Named<'_>> = [save, html].into_iter().flatten().collect();
    check_apart(&outputs, payload.as_slice())?;
    // The results may replace the baseline: it is read before.
    check_apart(html.as_slice(), baseline.as_slice())
}

/// Checks that the files of a run can be written, as far as that can be told before it.
///
/// # Errors
/// One sentence for all that can't.
pub fn check_places(args: &CommonArgs) -> Result<(), String> {
    let save = Named::maybe("--save", args.save.as_ref());
    let html = Named::maybe("--html", args.view.html.as_ref());
    let outputs: Vec<Named<'_>> = [save, html].into_iter().flatten().collect();
    check_writable(&outputs)
}

/// Checks that the page of a report doesn't overwrite its results.
///
/// # Errors
/// One sentence with both names and the remedy.
pub fn check_report(args: &ReportArgs) -> Result<(), String> {
    let html = Named::maybe("--html", args.view.html.as_ref());
    check_apart(
        html.as_slice(),
        Named::maybe("FILE", Some(&args.file)).as_slice(),
    )
}

/// Checks that the page of a comparison overwrites none of the results.
///
/// # Errors
/// One sentence with both names and the remedy.
pub fn check_comparison(args: &CompareArgs) -> Result<(), String> {
    let html = Named::maybe("--html", args.html.as_ref());
    let named = |file| Named::maybe("FILE", Some(file));
    let files: Vec<Named<'_>> = args.files.iter().filter_map(named).collect();
    check_apart(html.as_slice(), &files)
}

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
