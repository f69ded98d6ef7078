//! What a report consists of, for all who draw it: facts about the run, sheets with their sentences, and notes.

use super::document::{Figures, Report};
use super::numbers::{bytes, counted, figure, percent, rate, whole};
use super::rows::status;
use super::sentences::sentences;
use super::sheet::Sheet;
use crate::results::Status;
use crate::transport::Class;

/// A sheet and what it says.
#[derive(Debug)]
pub struct Part {
    /// The sheet.
    pub sheet: Sheet,
    /// Plain sentences that are made of its figures alone.
    pub sentences: Vec<String>,
}

/// What the columns mean, by their group or name.
const LEGEND_OF_ROWS: [(&str, &str); 7] = [
    (
        "stream",
        "stream: from the first send to the last verified message, by the slower of two regimes; ±: how far the interval of its median \
         over rounds reaches.",
    ),
    (
        "round trip",
        "round trip: there and back, in a closed loop: the next message waits for the answer.",
    ),
    (
        "one way",
        "one way: from the moment a message was due, at a fixed rate, in an open loop: no message waits for another one.",
    ),
    ("x pipe", "x pipe: how many times the messages of pipe."),
    (
        "x limit",
        "x limit: how many times as long as limit-memcpy (stream) or limit-line (round trip).",
    ),
    (
        "cost/msg",
        "cost: of both sides together, without the harness's wait until a message is due; calls are system calls that move or await messages; MiB is resident memory, shared pages in each.",
    ),
    (
        "link",
        "link capacity: how many messages the link really holds. Streams depend on it, round trips don't.",
    ),
];
const LEGEND_OF_THREADS: &str = "[thread]: two threads of one process, where all others have a process for each side; there to see what the border costs.";
const LEGEND_OF_ALL: &str = "A dash: not measured, or fewer than ten samples beyond the percentile. Classes, and spinning and sleeping, aren't ranked together.";

impl Report {
    /// Its sheets, by what the command measured.
    pub fn parts(&self) -> Vec<Part> {
        let sheets = match self.command.as_str() {
            "sweep" => self.sheets_by_size(),
            "fan" => self.sheets_by_fan(),
            "wake" => self.sheets_by_gap(),
            "curve" => self.sheets_by_rate(),
            "topo" => self.sheets_by_cores(),
            _ => {
                return match self.sent() {
                    Some(sent) => vec![self.part_of_records(&sent)],
                    None => self.parts_by_size(),
                };
            }
        };
        let bare = |sheet| Part {
            sheet,
            sentences: Vec::new(),
        };
        sheets.into_iter().map(bare).collect()
    }

    fn parts_by_size(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        for (index, &size) in self.settings.sizes.iter().enumerate() {
            // The limits belong to every size; what carries nothing stands beside the first.
            let belongs = |row: &&Figures| match row.class {
                Class::Limit if row.contender != "limit-memcpy" => true,
                Class::Notify => index == 0,
                _ => row.size_bytes == size,
            };
            // Most can't be shared by several processes; they are listed below with the reason, and would fill the table with dashes.
            let is_told =
                |row: &&Figures| self.settings.is_plain() || row.status != Status::Unavailable;
            let rows = self.results.iter().filter(belongs).filter(is_told);
            let rows: Vec<&Figures> = rows.collect();
            let messages = format!("{} messages", bytes(size));
            let originals: Vec<&Figures> =
                rows.iter().copied().filter(|row| !row.is_twin).collect();
            parts.push(Part {
                sheet: self.sheet_of_rows(
                    format!("Messages of {}; {}", bytes(size), self.units()),
                    &rows,
                ),
                sentences: sentences(&originals, &messages),
            });
        }
        parts
    }

    /// The unit of all times, and the rate of paced messages.
    fn units(&self) -> String {
        let rates = self
            .results
            .iter()
            .filter_map(|row| row.paced_ns.rate_per_second);
        let mut rates: Vec<u64> = rates.collect();
        rates.dedup();
        match rates[..] {
            [only] => format!("times in ns, one way at {} messages a second", rate(only)),
            _ => "times in ns".to_owned(),
        }
    }

    fn part_of_records(&self, sent: &str) -> Part {
        let rows: Vec<&Figures> = self.results.iter().collect();
        let title = format!("{sent}; {}", self.units());
        let measured = rows.iter().filter(|row| row.status == Status::Ok).count();
        let sentence = format!(
            "{measured} of {} contenders delivered every record; all that came was compared with what was sent.",
            rows.len()
        );
        Part {
            sheet: self.sheet_of_rows(title, &rows),
            sentences: vec![sentence],
        }
    }

    /// What the columns mean.
    pub fn legend(&self) -> Vec<String> {
        let parts = self.parts();
        let columns = || parts.iter().flat_map(|part| &part.sheet.columns);
        let has = |name: &str| columns().any(|column| column.group == name || column.name == name);
        let told = LEGEND_OF_ROWS.iter().filter(|(name, _)| has(name));
        let mut legend: Vec<String> = told.map(|&(_, text)| text.to_owned()).collect();
        if has("vs ref") {
            let reference = &self.settings.reference;
            legend.push(format!(
                "vs ref: faster or slower than {reference}; ~ no detectable difference; few: too few rounds to tell. time/ref: how many times the \
                 time of {reference}, and the interval."
            ));
        }
        if self
            .results
            .iter()
            .any(|row| row.versus_reference.is_some())
        {
            let reference = &self.settings.reference;
            legend.push(format!(
                "The comparison with {reference} crosses classes and ways of waiting: it tells what a change from {reference} would bring, not who is \
                 best. A row that spins pays for its time with a core, and one of another class does other work; only rows of one section rank \
                 beside each other."
            ));
        }
        if self.results.iter().any(|row| row.class == Class::Thread) {
            legend.push(LEGEND_OF_THREADS.to_owned());
        }
        legend.push(LEGEND_OF_ALL.to_owned());
        legend
    }

    /// The machine and the run, each fact with its name.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let environment = &self.environment;
        let settings = &self.settings;
        let clock = environment.clock;
        let mut facts = vec![
            ("processor", environment.cpu.clone()),
            ("kernel", environment.kernel.clone()),
            (
                "cores",
                format!(
                    "{} of {}",
                    list_of(&environment.measured_cores),
                    environment.cores
                ),
            ),
            (
                "clock",
                format!(
                    "{} ns a reading, {} ns apart at least, {}",
                    figure(Some(clock.read_cost_ns)),
                    clock.granularity_ns,
                    environment
                        .clock_source
                        .as_deref()
                        .unwrap_or("source unknown")
                ),
            ),
            (
                "rounds",
                format!(
                    "{} of {}, seed {}",
                    settings.rounds_completed,
                    self.told_windows(),
                    settings.seed
                ),
            ),
            ("quiet", self.quiet()),
        ];
        if settings.has_several() && self.command != "fan" {
            facts.push((
                "processes",
                format!(
                    "{} to {} over one link; round trips: n/a, they are measured with one producer and one consumer",
                    counted(settings.producers as usize, "producer"),
                    counted(settings.consumers as usize, "consumer")
                ),
            ));
        }
        if self.incomplete {
            facts.push(("INCOMPLETE", "the run was interrupted".to_owned()));
        }
        facts
    }

    fn quiet(&self) -> String {
        let quietness = &self.quietness;
        let share = quietness.ran_together_share;
        let together = share.map_or_else(String::new, |share| {
            format!(
                "all running at least {} of the time where they spin, ",
                percent(share)
            )
        });
        format!(
            "in {} s of windows {together}{} involuntary switches, {} ms stolen, {} of the sessions disturbed",
            figure(Some(quietness.windows_ns as f64 / 1e9)),
            whole(Some(quietness.involuntary_switches)),
            quietness.stolen_ns / 1_000_000,
            quietness.disturbed_sessions
        )
    }

    /// What can be typed to measure the same again.
    pub fn command_line(&self) -> String {
        let mut arguments = self.arguments.clone();
        let has_seed = |word: &String| *word == "--seed" || word.starts_with("--seed=");
        if !arguments.iter().any(has_seed) {
            arguments.extend(["--seed".to_owned(), self.settings.seed.to_string()]);
        }
        command_line(&arguments)
    }

    /// What went wrong or couldn't be had, and which rows share that reason.
    pub fn reasons(&self) -> Vec<(String, Vec<String>)> {
        let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
        for row in &self.results {
            let Some(reason) = &row.reason else { continue };
            let text = format!("{}: {reason}", status(row));
            match reasons.iter_mut().find(|(known, _)| *known == text) {
                Some((_, names)) if names.contains(&row.full_name()) => {}
                Some((_, names)) => names.push(row.shown_name()),
                None => reasons.push((text, vec![row.shown_name()])),
            }
        }
        reasons
    }
}

/// What can be typed to call the program with those arguments.
pub(super) fn command_line(arguments: &[String]) -> String {
    let words = ["bench-harness"].into_iter();
    let words = words.chain(arguments.iter().map(String::as_str));
    // Arguments hold no NUL: the system wouldn't have passed them on.
    shlex::try_join(words.clone()).unwrap_or_else(|_| words.collect::<Vec<_>>().join(" "))
}

/// As in `0 and 1` or `0, 1 and 2`.
fn list_of(cores: &[usize]) -> String {
    let shown: Vec<String> = cores.iter().map(ToString::to_string).collect();
    match shown.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => shown.concat(),
    }
}
