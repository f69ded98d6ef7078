//! The report for people.

use std::io::{self, Write};

use comfy_table::presets::{NOTHING, UTF8_HORIZONTAL_ONLY};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableComponent};

use super::document::Figures;
use super::document::Report;
use super::numbers::{bytes, figure, ratio, whole};
use super::sentences::sentences;
use crate::results::Status;
use crate::transport::Class;

const HEADER: [&str; 12] = [
    "contender",
    "stream ns/msg",
    "M msg/s",
    "GB/s",
    "x pipe",
    "x limit",
    "round trip p50",
    "p99",
    "max",
    "x limit",
    "cpu ns/msg",
    "status",
];

const LEGEND: &str = "\
Stream: from the first send to the last verified message, by the slower of two regimes. Round trip: there and back, in ns.
x pipe: how many times the messages of pipe. x limit: how many times as long as limit-memcpy (stream), limit-line (round trip).
cpu: of both sides together. A dash: not measured, or too few samples. Classes, and spinning and sleeping, don't compare.";

impl Report {
    /// Writes the tables, and what they say.
    ///
    /// # Errors
    /// What the output says.
    pub fn write_table(&self, mut out: impl Write) -> io::Result<()> {
        self.write_head(&mut out)?;
        match self.sent() {
            Some(sent) => self.write_payload(&sent, &mut out)?,
            None => self.write_sizes(&mut out)?,
        }
        self.write_notes(&mut out)?;
        out.flush()
    }

    fn write_head(&self, out: &mut impl Write) -> io::Result<()> {
        let environment = &self.environment;
        let settings = &self.settings;
        writeln!(
            out,
            "{}, {}, cores {} of {}",
            environment.cpu,
            environment.kernel,
            list_of(&environment.measured_cores),
            environment.cores
        )?;
        let (producers, consumers) = (settings.producers, settings.consumers);
        if settings.has_several() {
            writeln!(
                out,
                "{} to {} over one link; round trips: n/a, they are measured with one producer and one consumer",
                counted(producers, "producer"),
                counted(consumers, "consumer")
            )?;
        }
        let clock = environment.clock;
        writeln!(
            out,
            "clock: {} ns a reading, {} ns apart at least, {}; {} rounds of {} ms windows, seed {}",
            figure(Some(clock.read_cost_ns)),
            clock.granularity_ns,
            environment
                .clock_source
                .as_deref()
                .unwrap_or("source unknown"),
            settings.rounds_completed,
            settings.stream_window_ns / 1_000_000,
            settings.seed
        )?;
        let quietness = &self.quietness;
        let together = quietness
            .ran_together_share
            .map_or_else(String::new, |share| {
                let share = figure(Some(100.0 * share));
                format!("all running at least {share} % of the time where they spin, ")
            });
        writeln!(
            out,
            "in {} s of windows: {together}{} involuntary switches, {} ms stolen",
            figure(Some(quietness.windows_ns as f64 / 1e9)),
            whole(Some(quietness.involuntary_switches)),
            quietness.stolen_ns / 1_000_000
        )?;
        if self.incomplete {
            writeln!(out, "INCOMPLETE: the run was interrupted")?;
        }
        writeln!(out)
    }

    fn write_sizes(&self, out: &mut impl Write) -> io::Result<()> {
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
            let rows: Vec<&Figures> = self
                .results
                .iter()
                .filter(belongs)
                .filter(is_told)
                .collect();
            writeln!(out, "Messages of {}", bytes(size))?;
            writeln!(out, "{}", table(&rows))?;
            writeln!(out)?;
            for sentence in sentences(&rows, &format!("{} messages", bytes(size))) {
                writeln!(out, "{sentence}")?;
            }
            writeln!(out)?;
        }
        writeln!(out, "{LEGEND}")
    }

    fn write_payload(&self, sent: &str, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{sent}")?;
        let rows: Vec<&Figures> = self.results.iter().collect();
        writeln!(out, "{}", table(&rows))?;
        let measured = rows.iter().filter(|row| row.status == Status::Ok).count();
        writeln!(out)?;
        writeln!(
            out,
            "{measured} of {} contenders delivered every record; each was compared byte for byte.",
            rows.len()
        )
    }

    /// What went wrong or couldn't be had, and which rows share that reason.
    fn reasons(&self) -> Vec<(String, Vec<String>)> {
        let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
        for row in &self.results {
            let Some(reason) = &row.reason else { continue };
            let (name, text) = (row.full_name(), format!("{}: {reason}", status(row)));
            match reasons.iter_mut().find(|(known, _)| *known == text) {
                Some((_, names)) => names.push(name),
                None => reasons.push((text, vec![name])),
            }
        }
        reasons
    }

    fn write_notes(&self, out: &mut impl Write) -> io::Result<()> {
        for (index, (reason, names)) in self.reasons().into_iter().enumerate() {
            if index == 0 {
                writeln!(out)?;
            }
            writeln!(out, "{}: {reason}", names.join(", "))?;
        }
        for (index, warning) in self.warnings.iter().enumerate() {
            if index == 0 {
                writeln!(out)?;
            }
            writeln!(out, "warning: {warning}")?;
        }
        Ok(())
    }
}

fn status(row: &Figures) -> &'static str {
    match row.status {
        Status::Ok => "ok",
        Status::Unavailable => "n/a",
        Status::Failed | Status::Unmeasured => "FAILED",
        Status::Saturated => "saturated",
    }
}

fn table(rows: &[&Figures]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_HORIZONTAL_ONLY)
        .remove_style(TableComponent::HorizontalLines)
        .remove_style(TableComponent::MiddleIntersections)
        .remove_style(TableComponent::LeftBorderIntersections)
        .remove_style(TableComponent::RightBorderIntersections)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(HEADER);
    for class in [Class::Limit, Class::Message, Class::Stream, Class::Notify] {
        let mut of_class = rows.iter().filter(|row| row.class == class).peekable();
        if of_class.peek().is_some() {
            table.add_row([Cell::new(format!("[{class}]"))]);
        }
        for row in of_class {
            table.add_row(cells(row));
        }
    }
    for column in table.column_iter_mut().skip(1).take(HEADER.len() - 2) {
        column.set_cell_alignment(CellAlignment::Right);
        column.set_padding((0, 1));
    }
    table
}

fn cells(row: &Figures) -> Vec<String> {
    let stream = &row.stream;
    let trip = &row.round_trip_ns;
    vec![
        row.full_name(),
        figure(stream.ns_per_message),
        figure(stream.messages_per_second.map(|rate| rate / 1e6)),
        figure(stream.bytes_per_second.map(|rate| rate / 1e9)),
        ratio(row.ratio_to_pipe.stream),
        ratio(row.ratio_to_limit.stream),
        whole(trip.p50),
        whole(trip.p99),
        whole(trip.max),
        ratio(row.ratio_to_limit.round_trip),
        figure(row.cpu_ns_per_message),
        status(row).to_owned(),
    ]
}

/// As in `0 and 1` or `0, 1 and 2`.
fn list_of(cores: &[usize]) -> String {
    let shown: Vec<String> = cores.iter().map(ToString::to_string).collect();
    match shown.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => shown.concat(),
    }
}

fn counted(count: u32, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// A table without lines, for lists.
pub fn plain_table() -> Table {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table
}
