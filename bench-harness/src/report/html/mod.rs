//! The report as one page that needs no network and no scripts: what it says, charts, tables, the environment, how to repeat it, and what still
//! bends the figures.

mod axis;
mod biases;
mod chart;
mod plots;
mod rounds;

use std::time::{Duration, UNIX_EPOCH};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::document::Report;
use super::sheet::{Line, Sheet};

/// How the page looks, in light and dark, wide and narrow.
const STYLE: &str = include_str!("style.css");

impl Report {
    /// The whole page.
    pub fn to_html(&self) -> String {
        let title = format!("bench-harness {}", self.command);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    // An empty picture, so that no browser asks anybody for one.
                    link rel="icon" href="data:,";
                    title { (title) ": " (self.environment.cpu) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        h1 { (title) }
                        p {
                            (self.environment.cpu) " · " (self.environment.kernel) " · " (self.began()) " · version "
                            (self.environment.harness_version)
                        }
                        @if self.incomplete {
                            p class="warning" { "INCOMPLETE: the run was interrupted." }
                        }
                        nav {
                            @for (id, name) in SECTIONS { a href=(format!("#{id}")) { (name) } }
                        }
                    }
                    main {
                        @for (id, name) in SECTIONS {
                            section id=(id) {
                                h2 { (name) }
                                (self.section(id))
                            }
                        }
                    }
                    footer { "Made from the results alone; the same page comes from " code { "bench-harness report FILE --html PAGE" } "." }
                }
            }
        };
        page.into_string()
    }

    fn section(&self, id: &str) -> Markup {
        match id {
            "says" => self.says(),
            "plots" => self.plots(),
            "tables" => self.tables(),
            "environment" => self.surroundings(),
            "reproduce" => self.reproduction(),
            _ => html! {
                p class="note" { "No measurement is free of these; they are told so that you can judge which of them matter to you." }
                (list(&self.biases()))
            },
        }
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

    fn began(&self) -> String {
        // A year beyond 9999, which the format can't have, is a wrong clock or a changed file.
        const SECONDS_MAX: u64 = 253_402_300_799;
        let began = UNIX_EPOCH.checked_add(Duration::from_secs(self.began_unix_s));
        began
            .filter(|_| self.began_unix_s <= SECONDS_MAX)
            .map_or_else(
                || "at an unknown time".to_owned(),
                |time| humantime::format_rfc3339_seconds(time).to_string(),
            )
    }
}

/// The sections of the page.
const SECTIONS: [(&str, &str); 6] = [
    ("says", "What it says"),
    ("plots", "Charts"),
    ("tables", "Tables"),
    ("environment", "Environment"),
    ("reproduce", "How to repeat it"),
    ("biases", "Biases that remain"),
];

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
    let is_told = |cell: &str| matches!(cell, "FAILED" | "OUTSIDE" | "saturated");
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
                                    td class=(if is_told(cell) { format!("{} told", class(index)) } else { class(index) }) { (cell) }
                                }
                            },
                        }
                    }
                }
            }
        }
    }
}
