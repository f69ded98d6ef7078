//! What reports look like: tables at several widths, Markdown, comma-separated values; and that saved ones are read again.

#[path = "support/sample.rs"]
mod sample;

use std::fs;
use std::path::PathBuf;

use bench_harness::report::document::{Figures, Report, Versus};
use bench_harness::report::numbers;
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

/// The same run with twice as many rows, those of a second size. Every figure that a table may show of a row is the row's alone.
fn of_two_sizes(command: &str) -> Report {
    let mut report = of_command(command);
    report.settings.sizes.push(4 << 10);
    let has_size = |row: &&Figures| row.size_bytes == 64 && row.contender != "limit-line";
    let others: Vec<Figures> = report.results.iter().filter(has_size).cloned().collect();
    report.results.extend(others.into_iter().map(|row| Figures {
        size_bytes: 4 << 10,
        ..row
    }));
    for (index, row) in report.results.iter_mut().enumerate() {
        let own = 1_000_000 + index as u64;
        for p50 in [&mut row.round_trip_ns.p50, &mut row.paced_ns.times.p50] {
            *p50 = p50.map(|_| own);
        }
        let rate = &mut row.stream.messages_per_second;
        *rate = rate.map(|_| own as f64 * 1e8);
    }
    report
}

/// The unique figure of a row, as its table shows it.
fn own_figure(row: &Figures) -> Option<String> {
    let p50 = row.round_trip_ns.p50.or(row.paced_ns.times.p50);
    p50.map(|ns| numbers::ns(Some(ns))).or_else(|| {
        let rate = row.stream.messages_per_second?;
        Some(numbers::figure(Some(rate / 1e6)))
    })
}

#[test]
fn every_size_has_its_own_sheets_and_nothing_measured_is_missing() {
    for (command, per_size) in [("wake", 1), ("curve", 1), ("fan", 1), ("topo", 10)] {
        let report = of_two_sizes(command);
        let titles: Vec<String> = report.parts().into_iter().map(|p| p.sheet.title).collect();
        for size in ["64 B", "4 KiB"] {
            let named = titles.iter().filter(|title| title.contains(size)).count();
            assert_eq!(named, per_size, "{command}, {size}: {titles:?}");
        }
        let texts = [table(&report, None), report.to_markdown(), report.to_html()];
        let mut figures: Vec<String> = report.results.iter().filter_map(own_figure).collect();
        assert!(figures.len() > 40, "{command}");
        figures.sort_unstable();
        figures.dedup();
        for text in texts {
            for figure in &figures {
                assert!(text.contains(figure), "{command}, {figure}: {text}");
            }
        }
    }
}

#[test]
fn no_line_of_a_chart_joins_two_sizes() {
    for (command, points_max) in [("wake", 3), ("curve", 5), ("fan", 4)] {
        let page = of_two_sizes(command).to_html();
        for size in ["64 B", "4 KiB"] {
            let caption =
                format!("<figcaption>[message] spinning; messages of {size}</figcaption>");
            assert_eq!(page.matches(&caption).count(), 1, "{command}, {size}");
        }
        let lines: Vec<&str> = page.split("<path class=\"line\" d=\"").skip(1).collect();
        assert!(!lines.is_empty(), "{command}");
        for line in lines {
            let path = line.split('"').next().unwrap();
            let points = path.matches(['M', 'L']).count();
            assert!(points <= points_max, "{command}: {path}");
        }
    }
}

#[test]
fn a_sweep_shows_what_carries_nothing() {
    let report = of_command("sweep");
    let is_it = |row: &&Figures| row.contender == "eventfd";
    let row = report.results.iter().find(is_it).unwrap();
    let shown = own_figure(row).unwrap();
    let table = table(&report, None);
    let line = table.lines().find(|line| line.starts_with("eventfd"));
    assert!(line.unwrap().contains(&shown), "{table}");
}

#[test]
fn verdicts_are_counted_in_each_section_alone() {
    let report = sample::run();
    let remarks = report.remarks();
    let counted = |section: &str| {
        let start = format!("Compared with pipe/park, {section}: ");
        let mut found = remarks.iter().filter_map(|one| one.strip_prefix(&start));
        let only = found
            .next()
            .unwrap_or_else(|| panic!("{section}: {remarks:?}"));
        assert_eq!(found.next(), None, "{section}");
        only.split("; ").next().unwrap().to_owned()
    };
    assert_eq!(counted("[message] spinning"), "in streams 2 faster");
    assert_eq!(
        counted("[message] spinning, then sleeping"),
        "in streams 1 faster"
    );
    assert_eq!(
        counted("[message] sleeping"),
        "in streams 3 faster, 1 slower"
    );
    assert_eq!(counted("[stream] sleeping"), "in streams 1 faster");
    assert!(!remarks.iter().any(|one| one.contains("7 faster")));
}

#[test]
fn the_legend_says_that_the_reference_stands_across_sections() {
    for report in sample::all() {
        let legend = report.legend().join("\n");
        let told = "The comparison with pipe/park crosses classes and ways of waiting";
        // These enter nothing twice, so nothing is compared.
        let compares = !["curve", "wake", "topo"].contains(&report.command.as_str());
        assert_eq!(legend.contains(told), compares, "{legend}");
    }
    let mut report = sample::run();
    for row in &mut report.results {
        row.versus_reference = Versus::default();
    }
    assert!(!report.legend().join("\n").contains("crosses classes"));
}

#[test]
fn every_row_has_the_capacity_of_its_link() {
    let report = sample::run();
    let line_of = |text: &str, start: &str| {
        let found = text.lines().find(|line| line.starts_with(start));
        found
            .unwrap_or_else(|| panic!("{start}: {text}"))
            .to_owned()
    };
    let wide = table(&report, None);
    assert!(line_of(&wide, "unix-dgram/park").ends_with(" 278   ok"));
    assert!(line_of(&wide, "pipe/park").ends_with(" 1,024   ok"));
    // It has no link.
    assert!(line_of(&wide, "limit-line/spin").ends_with(" -   ok"));
    let markdown = report.to_markdown();
    assert!(markdown.contains("| link capacity | status |"));
    assert!(line_of(&markdown, "| unix-dgram/park").ends_with("| 278 | ok |"));
    let mut text = Vec::new();
    report.write_csv(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    for figure in ["capacity,278.0", "capacity_asked,1024.0"] {
        let told = format!(",ok,,link,,,{figure},messages,");
        let found = text.lines().filter(|line| line.contains(&told));
        let of_it = |line: &&str| line.starts_with("run,unix-dgram,");
        assert_eq!(found.filter(of_it).count(), 1, "{told}");
    }
    // Where there is no room it is among the first to go.
    assert!(table(&report, Some(140)).contains("link capacity. --wide shows all."));
}

#[test]
fn results_from_before_capacities_were_asked_for_are_read() {
    let mut value = serde_json::to_value(sample::run()).unwrap();
    for row in value["results"].as_array_mut().unwrap() {
        assert!(
            row.as_object_mut()
                .unwrap()
                .remove("capacity_asked")
                .is_some()
        );
    }
    let report: Report = serde_json::from_value(value).unwrap();
    let is_told = |remark: &String| remark.contains("hold fewer messages");
    assert!(!report.remarks().iter().any(is_told));
}

#[test]
fn links_that_hold_fewer_messages_than_asked_for_are_named() {
    let about = |report: &Report| {
        let remarks = report.remarks();
        let mut found = remarks
            .into_iter()
            .filter(|one| one.contains("hold fewer messages"));
        let only = found.next();
        assert_eq!(found.next(), None);
        only
    };
    let told = about(&sample::run()).unwrap();
    assert!(told.contains(": unix-dgram/park 278 of 1,024. "), "{told}");
    assert!(told.starts_with("Streams: ") && told.contains("Round trips don't depend on it."));
    // With nothing but round trips there is nothing to tell.
    assert_eq!(about(&of_command("rtt")), None);
    let mut even = sample::run();
    for row in &mut even.results {
        row.capacity = row.capacity.and(row.capacity_asked);
    }
    assert_eq!(about(&even), None);
    // Of many the extremes: one contender holds 10 messages of every size, and all others one too few.
    let mut many = of_command("sweep");
    for row in &mut many.results {
        row.capacity = match row.contender.as_str() {
            "unix-dgram" => Some(10),
            _ => row.capacity_asked.map(|asked| asked - 1),
        };
    }
    let told = about(&many).unwrap();
    assert!(
        told.contains("from unix-dgram/park, 8 B, 10 of 1,024 to "),
        "{told}"
    );
    assert!(
        told.contains(", 1,023 of 1,024") && told.contains("60 links"),
        "{told}"
    );
    assert!(told.len() < 400, "{told}");
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

#[test]
fn a_reason_names_which_of_two_equal_rows_it_is_of() {
    let mut report = sample::run();
    for row in &mut report.results {
        row.reason = None;
    }
    let twin = report.results.iter().position(|row| row.is_twin).unwrap();
    let name = report.results[twin].full_name();
    let is_first = |row: &Figures| !row.is_twin && row.full_name() == name;
    let first = report.results.iter().position(is_first).unwrap();
    report.results[twin].reason = Some("another".to_owned());
    let names = |report: &Report| {
        report
            .reasons()
            .into_iter()
            .map(|(_, names)| names)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&report), [[format!("{name} (again)")]]);
    report.results[first].reason = Some("one".to_owned());
    assert_eq!(
        names(&report).concat(),
        [name.clone(), format!("{name} (again)")]
    );
    // What both have in common is told of the first.
    report.results[first].reason = Some("another".to_owned());
    assert_eq!(names(&report), [[name.clone()]]);
}
