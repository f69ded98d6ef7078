//! The report for people.

use std::io::{self, Write};

use comfy_table::presets::{NOTHING, UTF8_HORIZONTAL_ONLY};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableComponent};

use super::Report;
use super::figures::Figures;
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
        match &self.payload {
            Some(_) => self.write_payload(&mut out)?,
            None => self.write_sizes(&mut out)?,
        }
        self.write_notes(&mut out)?;
        out.flush()
    }

    fn write_head(&self, out: &mut impl Write) -> io::Result<()> {
        let environment = &self.environment;
        let [left, right] = environment.measured_cores;
        let settings = &self.settings;
        writeln!(
            out,
            "{}, {}, cores {left} and {right} of {}",
            environment.cpu, environment.kernel, environment.cores
        )?;
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
        if self.incomplete {
            writeln!(out, "INCOMPLETE: the run was interrupted")?;
        }
        writeln!(out)
    }

    fn write_sizes(&self, out: &mut impl Write) -> io::Result<()> {
        let asked: Vec<usize> = self.asked_sizes();
        for (index, &size) in asked.iter().enumerate() {
            let rows: Vec<&Figures> = self
                .results
                .iter()
                .filter(|row| row.size_bytes == size || (index == 0 && is_sizeless(row)))
                .filter(|row| index == 0 || !is_sizeless(row))
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

    /// The sizes of rows that have the size that was asked for.
    fn asked_sizes(&self) -> Vec<usize> {
        let mut sizes = Vec::new();
        for row in self.results.iter().filter(|row| !is_sizeless(row)) {
            if !sizes.contains(&row.size_bytes) {
                sizes.push(row.size_bytes);
            }
        }
        if sizes.is_empty() {
            sizes.extend(self.results.first().map(|row| row.size_bytes));
        }
        sizes
    }

    fn write_payload(&self, out: &mut impl Write) -> io::Result<()> {
        if let Some(payload) = &self.payload {
            let profile = &payload.profile;
            writeln!(
                out,
                "{} as {}: {} records, {} bytes; shortest {}, median {}, longest {} bytes",
                payload.file,
                payload.frame,
                whole(Some(profile.records)),
                whole(Some(profile.bytes)),
                profile.len_min,
                profile.len_median,
                profile.len_max
            )?;
        }
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

    fn write_notes(&self, out: &mut impl Write) -> io::Result<()> {
        let reasons = self
            .results
            .iter()
            .filter_map(|row| Some((row, row.reason.as_ref()?)));
        for (index, (row, reason)) in reasons.enumerate() {
            if index == 0 {
                writeln!(out)?;
            }
            let status = status(row);
            let size = bytes(row.size_bytes);
            writeln!(out, "{} at {size}: {status}: {reason}", row.full_name())?;
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

/// Whether the row is the same whatever size is asked for.
fn is_sizeless(row: &Figures) -> bool {
    row.class == Class::Notify || (row.class == Class::Limit && row.contender != "limit-memcpy")
}

fn status(row: &Figures) -> &'static str {
    match row.status {
        Status::Ok => "ok",
        Status::Unavailable => "n/a",
        Status::Failed => "FAILED",
        Status::Unmeasured => "not measured",
    }
}

fn table(rows: &[&Figures]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_HORIZONTAL_ONLY)
        .remove_style(TableComponent::HorizontalLines)
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

/// A table without lines, for lists.
pub fn plain_table() -> Table {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table
}
