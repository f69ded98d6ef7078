//! The report as one page that needs no network and no scripts: what it says, charts, tables, the environment, how to repeat it, and what still
//! bends the figures.

mod axis;
mod biases;
mod chart;
mod compared;
mod forest;
mod plots;
mod rounds;

use maud::{DOCTYPE, Markup, PreEscaped, html};

pub use compared::comparison_page;

use super::document::Report;
use super::numbers::moment;
use super::sheet::{Line, Sheet};

/// How the page looks, in light and dark, wide and narrow.
const STYLE: &str = include_str!("style.css");

/// A part of a page, with its own place in the navigation.
struct Section {
    id: String,
    name: String,
    /// What the navigation calls it.
    short: String,
    content: Markup,
}

impl Section {
    fn new(id: &str, name: &str, content: Markup) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            short: name.to_owned(),
            content,
        }
    }

    fn called(self, short: String) -> Self {
        Self { short, ..self }
    }
}

/// A whole page: its heading and what it is about, what stands below the heading, its parts, what stands at its end.
fn page(heading: &str, about: &str, header: &Markup, all: &[Section], footer: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // An empty picture, so that no browser asks anybody for one.
                link rel="icon" href="data:,";
                title { (heading) ": " (about) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (heading) }
                    (header)
                    nav { @for one in all { a href=(format!("#{}", one.id)) { (one.short) } } }
                }
                main { @for one in all { section id=(one.id) { h2 { (one.name) } (one.content) } } }
                footer { (footer) }
            }
        }
    };
    page.into_string()
}

impl Report {
    /// The whole page.
    pub fn to_html(&self) -> String {
        let header = html! {
            p {
                (self.environment.cpu) " · " (self.environment.kernel) " · " (moment(self.began_unix_s)) " · version "
                (self.environment.harness_version)
            }
            @if self.incomplete {
                p class="warning" { "INCOMPLETE: the run was interrupted." }
            }
        };
        let mut all = vec![Section::new("says", "What it says", self.says())];
        all.extend(self.comparison.as_ref().map(|runs| {
            let name = format!("Compared with {}", runs.before.name);
            Section::new("compared", &name, runs.to_section())
                .called(format!("Compared with {}", bare_name(&runs.before.name)))
        }));
        let biases = html! {
            p class="note" { "No measurement is free of these; they are told so that you can judge which of them matter to you." }
            (list(&self.biases()))
        };
        all.extend([
            Section::new("plots", "Charts", self.plots()),
            Section::new("tables", "Tables", self.tables()),
            Section::new("environment", "Environment", self.surroundings()),
            Section::new("reproduce", "How to repeat it", self.reproduction()),
            Section::new("biases", "Biases that remain", biases),
        ]);
        let footer = html! {
            "Made from the results alone; the same page"
            @if self.comparison.is_some() { " without the comparison" }
            " comes from " code { "bench-harness report FILE --html PAGE" } "."
        };
        let heading = format!("bench-harness {}", self.command);
        page(&heading, &self.environment.cpu, &header, &all, &footer)
    }

    fn says(&self) -> Markup {
        let sentences: Vec<String> = self
            .parts()
            .into_iter()
            .flat_map(|part| part.sentences)
            .collect();
        html! {
            @for warning in &self.warnings { p class="warning" { "Warning: " (warning) } }
            (list(&sentences))
            (list(&self.remarks()))
        }
    }

    fn tables(&self) -> Markup {
        html! {
            @for part in self.parts() {
                h3 { (part.sheet.title) }
                (table(&part.sheet))
            }
            p class="note" { "Every column is here: a table that is wider than the page scrolls sideways." }
            @let reasons = self.reasons();
            @if !reasons.is_empty() {
                h3 { "What has no figures" }
                ul class="says" {
                    @for (reason, names) in reasons { li { (names.join(", ")) ": " (reason) } }
                }
            }
            h3 { "How to read it" }
            (list(&self.legend()))
        }
    }

    fn surroundings(&self) -> Markup {
        let memory = self.environment.memory_bytes;
        html! {
            dl {
                @for (name, fact) in self.facts() { dt { (name) } dd { (fact) } }
                dt { "architecture" } dd { (self.environment.architecture) }
                dt { "virtual" } dd { (if self.environment.is_virtual { "yes" } else { "no, as far as the processor says" }) }
                @if let Some(bytes) = memory { dt { "memory" } dd { (bytes >> 20) " MiB" } }
                @if let Some(load) = self.environment.load_average { dt { "load before" } dd { (load) } }
            }
        }
    }

    fn reproduction(&self) -> Markup {
        html! {
            p { "With version " (self.environment.harness_version) " of bench-harness, on the cores named above:" }
            pre { (self.command_line()) }
            p class="note" {
                "The seed makes the same order of contenders and the same moments of paced messages; the times are those of your machine."
            }
        }
    }
}

/// A file without its directories.
fn bare_name(file: &str) -> &str {
    file.rsplit_once('/').map_or(file, |(_, name)| name)
}

fn list(sentences: &[String]) -> Markup {
    html! {
        @if !sentences.is_empty() {
            ul class="says" { @for sentence in sentences { li { (sentence) } } }
        }
    }
}

fn table(sheet: &Sheet) -> Markup {
    let firsts: Vec<usize> = sheet
        .groups()
        .iter()
        .scan(0, |next, (_, len)| {
            let first = *next;
            *next += len;
            Some(first)
        })
        .collect();
    let class = |column: usize| {
        let words = if sheet.columns[column].is_text {
            "words"
        } else {
            ""
        };
        let first = if column > 0 && firsts.contains(&column) {
            "first"
        } else {
            ""
        };
        format!("{words} {first}").trim().to_owned()
    };
    let told = |cell: &str| match cell {
        "FAILED" | "OUTSIDE" | "saturated" | "slower" => " told",
        "faster" => " gain",
        _ => "",
    };
    html! {
        div class="scroll" tabindex="0" role="region" aria-label=(sheet.title) {
            table {
                thead {
                    @if sheet.groups().iter().any(|(name, _)| !name.is_empty()) {
                        tr {
                            @for (name, len) in sheet.groups() {
                                @if name.is_empty() { th colspan=(len) {} } @else { th class="group" colspan=(len) scope="colgroup" { (name) } }
                            }
                        }
                    }
                    tr { @for (index, column) in sheet.columns.iter().enumerate() { th class=(class(index)) scope="col" { (column.name) } } }
                }
                tbody {
                    @for line in &sheet.lines {
                        @match line {
                            Line::Section(name) => tr { th colspan=(sheet.columns.len()) { span { (name) } } },
                            Line::Cells(cells) => tr {
                                @for (index, cell) in cells.iter().enumerate() {
                                    td class=(format!("{}{}", class(index), told(cell)).trim()) { (cell) }
                                }
                            },
                        }
                    }
                }
            }
        }
    }
}
