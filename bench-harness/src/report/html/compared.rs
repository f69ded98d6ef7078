//! Comparisons of saved runs: a section of a run's page, or a page of their own.

use maud::{Markup, html};

use super::forest::{Row, forest};
use super::{Section, bare_name, list, page, table};
use crate::compare::document::{ComparedFigure, ComparedRuns, Document};
use crate::compare::rows::FIGURES;
use crate::report::document::Report;
use crate::report::numbers::{counted, moment};
use crate::report::parts::command_line;
use crate::stats::Verdict;
use crate::stats::saves::{Figure, Role};

/// So many rows are in a chart; the tables have all of them.
const ROWS_MAX: usize = 24;

const HOW_TO_READ: &str = "Right of 1 is slower, left of it faster. The dot is the ratio, the line across it its interval, and the band behind it the floor: \
    what lies within it may be noise. Only what is coloured differs detectably; a ratio in brackets has too few rounds for any verdict. \
    Axes are logarithmic, and each chart has its own.";

/// A page with those comparisons, and with the runs that they are of.
pub fn comparison_page(
    document: &Document,
    runs: &[(String, Report)],
    arguments: &[String],
) -> String {
    let mut all: Vec<Section> = (1..)
        .zip(&document.comparisons)
        .map(|(number, compared)| {
            let [before, after] = [&compared.before.name, &compared.after.name];
            let name = format!("{after} compared with {before}");
            let short = format!("{} compared with {}", bare_name(after), bare_name(before));
            Section::new(&format!("compared-{number}"), &name, compared.to_section()).called(short)
        })
        .collect();
    all.push(Section::new(
        "environment",
        "Environment",
        surroundings(runs),
    ));
    all.push(Section::new(
        "reproduce",
        "How to repeat it",
        reproduction(runs, arguments),
    ));
    let first = runs.first().map_or("", |(name, _)| name);
    let header = html! {
        p {
            @match document.comparisons.as_slice() {
                [] => "Nothing was compared.",
                [one] => { "One run compared with " (one.before.name) "." },
                several => { (several.len()) " runs, each compared with " (first) "." },
            }
        }
    };
    let footer = html! {
        "Made from the saved results alone; the same page comes from " code { "bench-harness compare FILE FILE --html PAGE" } "."
    };
    page("bench-harness compare", first, &header, &all, &footer)
}

fn surroundings(runs: &[(String, Report)]) -> Markup {
    html! {
        @for (name, report) in runs {
            h3 { (name) }
            p class="note" { "Command " (report.command) ", " (moment(report.began_unix_s)) ", version " (report.environment.harness_version) "." }
            @for warning in &report.warnings { p class="warning" { "Warning: " (warning) } }
            (report.surroundings())
        }
    }
}

fn reproduction(runs: &[(String, Report)], arguments: &[String]) -> Markup {
    html! {
        @for (name, report) in runs {
            h3 { (name) }
            p { "With version " (report.environment.harness_version) " of bench-harness, saving what comes of it:" }
            pre { (report.command_line()) }
        }
        h3 { "The comparison" }
        p { "Of the files as they are: the same files give the same verdicts." }
        pre { (command_line(arguments)) }
    }
}

impl ComparedRuns {
    /// The verdicts, the figures and the ratios, without a heading.
    pub(super) fn to_section(&self) -> Markup {
        let (differing, rest) = (self.details(), self.rest());
        html! {
            @for warning in &self.warnings { p class="warning" { "Warning: " (warning) } }
            (list(&self.summary))
            @if !self.forbidden.is_empty() {
                h3 { "What --fail-if forbids" }
                (list(&self.forbidden))
            }
            (list(&self.undetectable))
            dl { @for (name, fact) in self.facts() { dt { (name) } dd { (fact) } } }
            @if differing.lines.is_empty() {
                p { "No figure differs detectably" @if self.has(Verdict::TooFewRounds) { ", as far as the rounds suffice" } "." }
            } @else {
                h3 { (differing.title) }
                (table(&differing))
            }
            @if !rest.lines.is_empty() {
                details { summary { (self.folded()) } (table(&rest)) }
            }
            p class="note" { "A table that is wider than the page scrolls sideways." }
            (self.forests())
            @if !self.alone.is_empty() {
                h3 { "What can't be compared" }
                (list(&self.alone))
            }
            h3 { "How to read it" }
            (list(&self.legend()))
        }
    }

    fn has(&self, verdict: Verdict) -> bool {
        self.figures
            .iter()
            .any(|one| one.comparison.verdict == verdict)
    }

    /// What the figures are that don't differ.
    fn folded(&self) -> String {
        let folded = [Verdict::NoDetectableDifference, Verdict::TooFewRounds].map(|verdict| {
            let is_it = |one: &&ComparedFigure| one.comparison.verdict == verdict;
            (verdict, self.figures.iter().filter(is_it).count())
        });
        let told = folded.into_iter().filter(|&(_, count)| count > 0);
        let told: Vec<String> = told
            .map(|(verdict, count)| format!("{}: {verdict}", counted(count, "figure")))
            .collect();
        told.join("; ")
    }

    /// Charts of the figures in question, and folded away those of the controls. Each has its own axis: percentiles far out scatter so much more
    /// than medians that on one axis for all nothing could be seen of these.
    fn forests(&self) -> Markup {
        let [question, controls] = [Role::Question, Role::Control]
            .map(|role| FIGURES.map(|figure| self.forest_of(role, figure)));
        let has_any = |all: &[Option<Markup>]| all.iter().any(Option::is_some);
        let charts = |all: &[Option<Markup>]| html! { div class="plots" { @for one in all.iter().flatten() { (one) } } };
        html! {
            @if has_any(&question) {
                h3 { "Ratios of the figures in question" }
                p class="note" { (HOW_TO_READ) }
                (charts(&question))
            }
            @if has_any(&controls) {
                details {
                    summary { "Ratios of the controls, which can't have changed" }
                    @if !has_any(&question) { p class="note" { (HOW_TO_READ) } }
                    (charts(&controls))
                }
            }
        }
    }

    fn forest_of(&self, role: Role, figure: Figure) -> Option<Markup> {
        let of_figure = self.of_role(role).filter(|one| one.figure == figure);
        let mut all: Vec<&ComparedFigure> = of_figure.collect();
        let count = all.len();
        all.sort_by(|left, right| {
            let differs = right.differs().cmp(&left.differs());
            differs.then(right.distance().total_cmp(&left.distance()))
        });
        all.truncate(ROWS_MAX);
        // The slowest first.
        all.sort_by(|left, right| right.ratio_or_one().total_cmp(&left.ratio_or_one()));
        let rows: Vec<Row<'_>> = all
            .into_iter()
            .map(|one| Row {
                name: self.label(one),
                one,
            })
            .collect();
        let title = match count - rows.len() {
            0 => title(figure).to_owned(),
            more => format!(
                "{}; {more} more, nearer to 1, are in the tables",
                title(figure)
            ),
        };
        (count > 0).then(|| forest(&title, &rows))
    }
}

fn title(figure: Figure) -> &'static str {
    match figure {
        Figure::Stream => "stream: time for a message",
        Figure::RoundTripP50 => "round trip: the median",
        Figure::RoundTripP99 => "round trip: the 99th percentile",
        Figure::PacedP50 => "one way at a fixed rate: the median",
        Figure::PacedP99 => "one way at a fixed rate: the 99th percentile",
        Figure::Cpu => "cpu: CPU time for a message",
    }
}
