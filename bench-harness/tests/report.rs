//! What reports look like: tables at several widths, Markdown, comma-separated values; and that saved ones are read again.

#[path = "support/sample.rs"]
mod sample;

use std::fs;
use std::path::PathBuf;

use bench_harness::report::document::{Figures, Report};
use bench_harness::report::saved;
use bench_harness::report::schema::schema;
use bench_harness::report::terminal::{Layout, draw};

fn table(report: &Report, width: Option<usize>) -> String {
    let layout = Layout {
        table: width,
        prose: width,
    };
    let mut text = Vec::new();
    report.write_table(layout, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_table_of_a_run_looks_as_it_should_at_every_width() {
    let report = sample::run();
    for width in [80, 100, 140] {
        insta::assert_snapshot!(format!("run_{width}"), table(&report, Some(width)));
    }
    insta::assert_snapshot!("run_wide", table(&report, None));
}

#[test]
fn the_tables_of_the_other_commands_look_as_they_should() {
    for report in &sample::all()[1..] {
        insta::assert_snapshot!(format!("{}_100", report.command), table(report, Some(100)));
    }
}

#[test]
fn every_table_fits_into_eighty_columns() {
    for report in sample::all() {
        for part in report.parts() {
            let drawn = draw(&part.sheet, Some(80)).text;
            let width = drawn.lines().map(|line| line.chars().count()).max();
            assert!(width <= Some(80), "{}:\n{drawn}", report.command);
        }
    }
}

#[test]
fn markdown_looks_as_it_should() {
    insta::assert_snapshot!("run_md", sample::run().to_markdown());
}

#[test]
fn comma_separated_values_have_a_line_for_each_figure() {
    let mut report = sample::run();
    report.results.truncate(4);
    let mut text = Vec::new();
    report.write_csv(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let head: Vec<&str> = text.lines().take(40).collect();
    insta::assert_snapshot!("run_csv", head.join("\n"));
    let mut lines = csv::Reader::from_reader(text.as_bytes());
    let columns = lines.headers().unwrap().len();
    let mut windows = 0;
    for line in lines.records() {
        let line = line.unwrap();
        assert_eq!(line.len(), columns);
        windows += usize::from(&line[16] == "ns_each");
    }
    let expected: usize = report.results.iter().map(|row| row.windows.len()).sum();
    assert_eq!(windows, expected);
}

#[test]
fn a_row_without_figures_has_a_line_with_its_reason() {
    let mut report = sample::run();
    report.results.retain(|row| row.contender == "posix-mq");
    let mut text = Vec::new();
    report.write_csv(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("unavailable,the limit of msgqueue is 0 bytes"),
        "{text}"
    );
}

#[test]
fn a_stall_that_only_an_open_loop_shows_is_named_with_both_figures() {
    let mut report = sample::run();
    assert!(
        !report
            .remarks()
            .iter()
            .any(|remark| remark.contains("hides stalls"))
    );
    let row = report
        .results
        .iter_mut()
        .find(|row| row.contender == "pipe")
        .unwrap();
    row.paced_ns.times.p99 = Some(48_000_000);
    row.round_trip_ns.p99 = Some(12_300);
    let remarks = report.remarks().join("\n");
    for part in [
        "A closed loop hides stalls",
        "pipe/park p99 48.0 ms against 12.3 µs",
    ] {
        assert!(remarks.contains(part), "{part}: {remarks}");
    }
}

#[test]
fn round_trips_alone_say_what_they_cannot_show() {
    let mut report = of_command("rtt");
    report.settings.planted_stall_ns = 50_000_000;
    let is_it = |row: &&mut Figures| row.full_name() == "ring-spsc/spin" && !row.is_twin;
    let row = report.results.iter_mut().find(is_it).unwrap();
    row.round_trip_ns.max = Some(50_100_000);
    let remarks = report.remarks().join("\n");
    for part in [
        "closed loop",
        "50.1 ms of ring-spsc/spin, is one sample of",
        "did nothing for 50.0 ms",
        "by the command paced",
    ] {
        assert!(remarks.contains(part), "{part}: {remarks}");
    }
}

#[test]
fn what_was_saved_is_shown_as_if_it_had_just_been_measured() {
    for report in sample::all() {
        let file = place(&format!("same-{}.json", report.command));
        saved::store(report, &file).unwrap();
        let again = saved::load(&file).unwrap();
        assert_eq!(table(&again, None), table(report, None));
        assert_eq!(again.to_markdown(), report.to_markdown());
        assert!(again.to_html() == report.to_html(), "{}", report.command);
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn what_an_older_version_divided_by_too_few_exchanges_is_divided_anew() {
    const WARM_UP: f64 = 8.0;
    let mut report = of_command("rtt");
    let cpu_ns = |report: &Report| -> Vec<f64> {
        let rows = report.results.iter();
        rows.filter_map(|row| row.cpu_ns_per_message).collect()
    };
    let before = cpu_ns(&report);
    let windows = report.results.iter_mut().flat_map(|row| &mut row.windows);
    let mut factors = windows.map(|window| {
        window.beside = None;
        window.count as f64 / (window.count as f64 + WARM_UP)
    });
    let factor = factors.next().unwrap();
    assert!(factors.all(|other| (other - factor).abs() < 1e-9));
    let file = place("older.json");
    saved::store(&report, &file).unwrap();
    let after = cpu_ns(&saved::load(&file).unwrap());
    assert!(!before.is_empty() && before.len() == after.len());
    for (before, after) in before.iter().zip(after) {
        assert!((after / before - factor).abs() < 1e-9, "{before} {after}");
    }
    fs::remove_file(file).unwrap();
}

#[test]
fn an_incomplete_run_does_not_replace_complete_results() {
    let file = place("kept.json");
    saved::store(&of_command("topo"), &file).unwrap();
    let before = fs::read(&file).unwrap();
    let mut cut = of_command("topo");
    cut.incomplete = true;
    let beside = saved::store(&cut, &file).unwrap().unwrap();
    assert_eq!(fs::read(&file).unwrap(), before);
    assert!(saved::load(&beside).unwrap().incomplete);
    fs::remove_file(file).unwrap();
    // Where there is nothing to lose it takes the place itself.
    let file = place("fresh.json");
    assert_eq!(saved::store(&cut, &file).unwrap(), None);
    for file in [file, beside] {
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn the_published_schema_is_that_of_the_program() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/results.schema.json");
    let schema = schema().unwrap();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&file, &schema).unwrap();
    }
    let published = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        published == schema,
        "docs/results.schema.json isn't what the results are; write it again with UPDATE_SCHEMA=1 cargo test -p bench-harness --test report"
    );
}

fn of_command(command: &str) -> Report {
    let is_it = |report: &&Report| report.command == command;
    sample::all().iter().find(is_it).unwrap().clone()
}

fn place(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&directory).unwrap();
    directory.join(format!("report-{}-{name}", std::process::id()))
}
