//! The forms of a comparison that programs and browsers read, and what is told where there is little to compare. All times are made up.

#[path = "support/sample.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod sample;
#[path = "support/saved.rs"]
mod saved;
mod support;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use bench_harness::compare::document::{ComparedRuns, Document};
use bench_harness::compare::make::{Controls, Named, compare_runs};
use bench_harness::report::document::Report;
use bench_harness::report::html::comparison_page;
use saved::Saved;
use support::run;
use tempfile::TempDir;

/// A line of comma-separated values by the names of its columns.
type Line = HashMap<String, String>;

fn slower() -> Report {
    let saved = Saved {
        seed: 5,
        planted: Some((200.0, "ring-")),
        ..Saved::default()
    };
    saved.report()
}

/// The report with its comparison with a usual one.
fn compared() -> Report {
    let (before, mut after) = (Saved::default().report(), slower());
    let of = |name, report| Named { name, report };
    let runs = compare_runs(
        of("before.json", &before),
        of("this run", &after),
        &Controls::default(),
    );
    after.comparison = Some(runs.unwrap());
    after
}

fn store(place: &Path, name: &str, report: &Report) -> String {
    let file = place.join(name);
    fs::write(&file, serde_json::to_vec(report).unwrap()).unwrap();
    file.to_str().unwrap().to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn csv_of(report: &Report) -> Vec<u8> {
    let mut written = Vec::new();
    report.write_csv(&mut written).unwrap();
    written
}

/// All lines; each has as many values as there are columns, or the reader complains.
fn lines(csv: &[u8]) -> Vec<Line> {
    let mut reader = csv::Reader::from_reader(csv);
    reader.deserialize().map(Result::unwrap).collect()
}

#[test]
fn a_run_with_a_baseline_has_the_comparison_among_its_lines() {
    let report = compared();
    let runs = report.comparison.as_ref().unwrap();
    let written = csv_of(&report);
    let (of_comparison, others): (Vec<Line>, Vec<Line>) = lines(&written)
        .into_iter()
        .partition(|line| line["kind"] == "baseline");
    let ratios: Vec<&Line> = of_comparison
        .iter()
        .filter(|line| line["figure"] == "ratio")
        .collect();
    assert_eq!(ratios.len(), runs.figures.len());
    for (line, one) in ratios.iter().zip(&runs.figures) {
        assert_eq!(line["contender"], one.place.contender);
        assert_eq!(line["compared"], one.figure.as_str());
        assert_eq!(line["verdict"], one.comparison.verdict.as_str());
        assert_eq!(line["baseline"], "before.json");
        let ratio: f64 = line["value"].parse().unwrap();
        assert!((ratio - one.comparison.ratio.unwrap()).abs() < 1e-12);
    }
    for line in &of_comparison {
        line["value"].parse::<f64>().unwrap();
        assert!(!line["class"].is_empty() && line["round"].is_empty());
    }
    for figure in [
        "before_ns",
        "after_ns",
        "low",
        "high",
        "floor",
        "p_adjusted",
    ] {
        let of_figure = of_comparison.iter().filter(|line| line["figure"] == figure);
        assert_eq!(of_figure.count(), runs.figures.len(), "{figure}");
    }
    // The other lines are those of a run without a baseline.
    let mut alone = report.clone();
    alone.comparison = None;
    assert_eq!(others, lines(&csv_of(&alone)));
}

#[test]
fn compare_writes_a_page_beside_every_form() {
    let place = TempDir::new().unwrap();
    let before = store(place.path(), "before.json", &Saved::default().report());
    let after = store(place.path(), "after.json", &slower());
    let page = place.path().join("page.html");
    for form in ["table", "json", "csv", "md"] {
        let output = run(&[
            "compare",
            &before,
            &after,
            "--output",
            form,
            "--html",
            page.to_str().unwrap(),
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(!output.stdout.is_empty());
        let written = fs::read_to_string(&page).unwrap();
        assert!(written.contains("x slower</text>"), "{form}");
        assert!(
            written.contains(&format!("--output {form} --html")),
            "{form}"
        );
        fs::remove_file(&page).unwrap();
    }
    let nowhere = place.path().join("none/page.html");
    let output = run(&[
        "compare",
        &before,
        &after,
        "--html",
        nowhere.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(6));
    assert!(text(&output.stderr).contains("can't be written"));
    assert!(text(&output.stdout).contains("What differs"));
}

#[test]
fn what_a_file_says_reaches_no_terminal_table_or_page_as_anything_but_text() {
    const NAME: &str = "\u{1b}[2J<script>alert(1)</script>\r\n,\"x\"\u{202e}=1";
    let place = TempDir::new().unwrap();
    let mut report = Saved::default().report();
    report.warnings.push(NAME.to_owned());
    report.environment.cpu = NAME.to_owned();
    report.arguments.push(NAME.to_owned());
    report.command = NAME.to_owned();
    for row in &mut report.results {
        if row.contender == "unix-dgram" {
            row.contender = NAME.to_owned();
        }
        if row.contender == "posix-mq" {
            row.reason = Some(NAME.to_owned());
        }
    }
    // As if nobody's clock had ever gone so far.
    report.began_unix_s = u64::MAX;
    let mut other = report.clone();
    other.settings.seed += 1;
    let files = [
        store(place.path(), "one.json", &report),
        store(place.path(), "other.json", &other),
    ];
    let page = place.path().join("page.html");
    let harmless = |what: &str, shown: &str| {
        let is_bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!shown.contains(is_bad), "{what}: {shown:?}");
        assert!(shown.contains("alert(1)"), "{what} hasn't the name at all");
    };
    let show = |args: &[&str]| -> Output {
        let output = run(&[args, &["--html", page.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        harmless("the page", &fs::read_to_string(&page).unwrap());
        assert!(!fs::read_to_string(&page).unwrap().contains("<script"));
        output
    };
    for form in ["table", "md", "csv", "json"] {
        let [one, other] = [&files[0], &files[1]].map(String::as_str);
        for args in [
            &["compare", one, other, "--output", form][..],
            &["report", one, "--output", form],
        ] {
            let output = show(args);
            harmless(form, &text(&output.stdout));
            let told = text(&output.stderr);
            assert!(!told.contains('\u{1b}'), "{told:?}");
            if form == "csv" {
                let all = lines(&output.stdout);
                let is_it = |line: &&Line| line["contender"].contains("alert(1)");
                let name = &all.iter().find(is_it).unwrap()["contender"];
                assert!(name.starts_with("\\u{1b}[2J<script>"), "{name}");
            }
        }
    }
}

#[test]
fn a_page_made_without_a_file_escapes_what_it_shows() {
    let page = compared().to_html();
    assert!(page.contains("&lt;script&gt;|&amp;*_") && !page.contains("<script"));
    let document = Document {
        schema: String::new(),
        comparisons: Vec::new(),
    };
    let hostile = ["'</pre><script>".to_owned()];
    let page = comparison_page(&document, &[], &hostile);
    assert!(page.contains("Nothing was compared.") && !page.contains("<script"));
}

#[test]
fn figures_beyond_all_measure_break_no_page_and_no_table() {
    let before = Saved::default().report();
    for wild in [0.0, -5.0, 1e-300, 1e300, f64::MAX] {
        let mut after = slower();
        let rings = after
            .results
            .iter_mut()
            .filter(|row| row.contender == "ring-spsc");
        for window in rings.flat_map(|row| &mut row.windows) {
            window.ns_each = wild;
        }
        let runs = compare_runs(
            Named {
                name: "a",
                report: &before,
            },
            Named {
                name: "b",
                report: &after,
            },
            &Controls::default(),
        );
        let mut runs = runs.unwrap();
        is_in_order(&after, &runs);
        // As a file might say that was changed.
        for one in &mut runs.figures {
            one.before_ns = wild;
            one.comparison.ratio = Some(wild);
            one.comparison.floor = -wild;
        }
        is_in_order(&after, &runs);
    }
}

fn is_in_order(report: &Report, runs: &ComparedRuns) {
    let mut report = report.clone();
    report.comparison = Some(runs.clone());
    let page = report.to_html();
    let (_, section) = page.split_once("<section id=\"compared\">").unwrap();
    let (section, _) = section.split_once("</section>").unwrap();
    for bad in ["NaN", "inf", "=\"-"] {
        assert!(!section.contains(bad), "{bad} in {section}");
    }
    let longest = section.split(['<', '>']).map(str::len).max();
    assert!(longest < Some(1_000), "{longest:?}");
    assert!(!lines(&csv_of(&report)).is_empty());
}

/// What `compare` says of two reports in the form of a table.
fn told(before: &Report, after: &Report) -> String {
    let place = TempDir::new().unwrap();
    let files = [("before.json", before), ("after.json", after)];
    let [before, after] = files.map(|(name, report)| store(place.path(), name, report));
    let output = run(&["compare", &before, &after]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).replace(place.path().to_str().unwrap(), "DIR")
}

#[test]
fn one_run_given_twice_is_told_as_such() {
    let report = Saved::default().report();
    let told_twice = told(&report, &report);
    let warning = "warning: DIR/before.json and DIR/after.json hold one and the same run";
    assert!(told_twice.contains(warning), "{told_twice}");
    let told_of_two = told(&report, &slower());
    assert!(
        !told_of_two.contains("one and the same run"),
        "{told_of_two}"
    );
}

#[test]
fn limits_of_several_sizes_are_told_apart() {
    let find = |report: &&Report| report.command == "sweep";
    let sweep = sample::all().iter().find(find).unwrap();
    let table = told(sweep, sweep);
    assert!(
        table.contains("limit-line/spin 1.00x, limit-memcpy/spin 8 B 1.00x, "),
        "{table}"
    );
}

#[test]
fn a_quick_run_beside_a_whole_one_says_how_many_rounds_each_has() {
    let mut quick = Saved::default().report();
    quick.settings.rounds = 3;
    quick.settings.rounds_completed = 3;
    for row in &mut quick.results {
        row.windows.retain(|window| window.round <= 3);
    }
    let table = told(&quick, &slower());
    let warning = "warning: 3 rounds of DIR/before.json and 11 rounds of DIR/after.json are too few for 36 figures in question";
    assert!(table.contains(warning), "{table}");
    assert!(table.contains("rounds 3 and 11"), "{table}");
}

#[test]
fn a_build_without_optimisation_is_named() {
    let mut after = slower();
    let warning = "this harness was built without optimisation; build it with --release";
    after.warnings.push(warning.to_owned());
    let table = told(&Saved::default().report(), &after);
    let named = format!("warning: in DIR/after.json, {warning}");
    assert!(table.contains(&named), "{table}");
    assert!(!table.contains("in DIR/before.json, this"), "{table}");
}

#[test]
fn ratios_without_anything_to_tell_the_drift_are_not_said_to_be_without_it() {
    let mut report = Saved::default().report();
    report
        .results
        .retain(|row| row.contender.starts_with("ring-"));
    let mut other = report.clone();
    other.settings.seed += 1;
    let table = told(&report, &other);
    assert!(!table.contains("without what the machine did"), "{table}");
    assert!(!table.contains("limits, after to before"), "{table}");
}

#[test]
fn a_control_that_differs_stands_among_the_controls() {
    let saved = Saved {
        seed: 5,
        planted: Some((4_000.0, "pipe")),
        ..Saved::default()
    };
    let table = told(&Saved::default().report(), &saved.report());
    let (_, differing) = table.split_once("What differs").unwrap();
    let (_, controls) = differing.split_once("[controls]").unwrap();
    assert!(controls.contains("pipe/park"), "{table}");
    assert!(!differing.contains("[in question]"), "{table}");
}

#[test]
fn files_of_other_kinds_and_versions_are_told_apart() {
    let place = TempDir::new().unwrap();
    let good = store(place.path(), "good.json", &Saved::default().report());
    let whole = fs::read_to_string(&good).unwrap();
    let newer = whole
        .replacen("\"class\":\"message\"", "\"class\":\"zero-copy\"", 1)
        .replacen(
            "\"harness_version\":\"0.0.0\"",
            "\"harness_version\":\"7.8.9\"",
            1,
        );
    let comparison = r#"{"schema": "ipc-bench-harness-comparison/1", "comparisons": []}"#;
    for (content, part) in [
        (&whole[..whole.len() / 2], "ends in the middle"),
        (&newer, "of another version (version 7.8.9"),
        (comparison, "is what `compare` printed"),
        (" \n", "is empty"),
        ("name,value\n", "it is no JSON"),
    ] {
        let file = place.path().join("bad.json");
        fs::write(&file, content).unwrap();
        let output = run(&["compare", &good, file.to_str().unwrap()]);
        let problem = text(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{problem}");
        assert!(
            problem.contains(part) && problem.lines().count() == 1,
            "{problem}"
        );
    }
    // What a newer version only adds is no obstacle.
    let more = whole.replacen('{', "{\"added\": [1],", 1);
    let file: PathBuf = place.path().join("more.json");
    fs::write(&file, more).unwrap();
    let output = run(&["compare", &good, file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}
