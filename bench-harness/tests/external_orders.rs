//! What only some programs can: messages at given moments, records, and a checksum of each message; and those that lie about it. No speed is
//! asserted.

#[path = "support/program.rs"]
mod program;
mod support;

use std::fs;

use serde_json::{Value, json};

use program::{altered, honest, is_refused_with, measure, measure_by, python, temporary_folder};
use support::{is_clean, temporary_file};

fn command() -> String {
    honest().display().to_string()
}

/// The example as it was before it could more than streams and round trips.
fn old() -> String {
    altered(r#"s/\"can\":[^]]*],//"#)
}

fn rows(report: &Value) -> &[Value] {
    report["results"].as_array().unwrap()
}

/// A busy machine may miss any rate; what may not be is a failure, or a message that nobody knows of.
fn assert_accounted_for(row: &Value) {
    let status = row["status"].as_str().unwrap();
    assert!(["ok", "saturated"].contains(&status), "{row:#}");
    assert!(is_clean(row), "{row:#}");
    assert_eq!(row["integrity"]["sent"], row["integrity"]["received"]);
    if status == "ok" {
        assert!(row["integrity"]["sent"].as_u64() > Some(0), "{row:#}");
    }
}

/// What became of its messages: lost, duplicated, reordered, corrupted.
fn wrong(row: &Value) -> [u64; 4] {
    ["lost", "duplicated", "reordered", "corrupted"]
        .map(|what| row["integrity"][what].as_u64().unwrap())
}

#[test]
fn messages_at_given_moments_have_a_latency_of_their_own() {
    let more = ["--rate", "1k", "--duration", "50ms", "--rounds", "2"];
    let (code, report, stderr) = measure_by("paced", "paced", &command(), &more);
    assert_eq!(code, 0, "{stderr}{report:#}");
    for row in rows(&report) {
        assert_accounted_for(row);
        assert_eq!(row["paced_ns"]["rate_per_second"], 1_000);
        // Nobody knows how much of its time it waits until a message is due.
        assert!(row["cpu_ns_per_message"].is_null(), "{row:#}");
        assert!(row["cost"]["sender"]["cpu_ns_per_message"].is_null());
        let windows = row["windows"].as_array().unwrap();
        assert!(windows.len() >= 2 || row["status"] != "ok", "{row:#}");
        for window in windows {
            assert_eq!(window["kind"], "paced");
            assert!(window["sender"]["waiting"].is_null(), "{window:#}");
            // All that are due, unless the machine is far too slow.
            let samples = window["times_ns"]["samples"].as_u64().unwrap();
            assert!((1..=50).contains(&samples), "{window:#}");
            assert!(window["times_ns"]["max"].as_u64() > Some(0), "{window:#}");
        }
    }
}

#[test]
fn single_messages_after_gaps_are_counted() {
    let (code, report, stderr) = measure_by("wake", "wakes", &command(), &["--gaps", "50us,1ms"]);
    assert_eq!(code, 0, "{stderr}{report:#}");
    assert_eq!(rows(&report).len(), 2);
    rows(&report).iter().for_each(assert_accounted_for);
}

#[test]
fn a_rate_that_no_program_can_keep_is_saturated_and_ends_in_time() {
    let more = ["--rates", "1k,50M,100M", "--duration", "20ms"];
    let (code, report, stderr) = measure_by("curve", "too-slow", &command(), &more);
    assert_eq!(code, 0, "{stderr}{report:#}");
    assert_eq!(rows(&report).len(), 3);
    for row in rows(&report) {
        assert_accounted_for(row);
        let rate = row["paced_ns"]["rate_per_second"].as_u64().unwrap();
        if rate > 1_000 {
            // 20 ns for a message between two processes by way of the kernel: certainly not.
            assert_eq!(row["status"], "saturated", "{row:#}");
            assert!(row["paced_ns"]["p50"].is_null(), "{row:#}");
        }
    }
}

#[test]
fn a_program_that_does_not_say_that_it_can_is_measured_as_before() {
    let (code, row, stderr) = measure("old", &old(), &[]);
    assert_eq!(code, 0, "{stderr}{row:#}");
    assert_eq!(row["status"], "ok", "{row:#}");
    assert!(row["stream"]["ns_per_message"].is_number(), "{row:#}");
    assert!(row["paced_ns"]["max"].is_null(), "{row:#}");
    for (verb, more, part) in [
        ("paced", &[][..], "\"paced\" in its \"can\""),
        ("run", &["--workload", "ticks"], "\"records\" in its"),
    ] {
        let (code, report, stderr) = measure_by(verb, "old-still", &old(), more);
        assert_eq!(code, 0, "{stderr}{report:#}");
        for row in rows(&report) {
            assert_eq!(row["status"], "unavailable", "{row:#}");
            assert!(row["reason"].as_str().unwrap().contains(part), "{row:#}");
        }
    }
    // Which of the messages went wrong it can't tell.
    for fault in ["lost", "duplicated", "reordered", "corrupted"] {
        let (code, row, stderr) = measure("old-faulty", &old(), &["--plant-fault", fault]);
        assert_eq!(code, 4, "{fault}: {stderr}{row:#}");
        assert_eq!(wrong(&row), [0, 0, 0, 1], "{fault}: {row:#}");
    }
}

#[test]
fn faults_that_a_program_is_told_to_commit_are_told_apart() {
    for (index, fault) in ["lost", "duplicated", "reordered", "corrupted"]
        .iter()
        .enumerate()
    {
        for size in ["64", "3"] {
            let name = format!("faulty-{fault}");
            let more = ["--plant-fault", fault, "--size", size];
            let (code, row, stderr) = measure(&name, &command(), &more);
            assert_eq!(code, 4, "{fault}: {stderr}{row:#}");
            assert_eq!(row["status"], "failed", "{fault}: {row:#}");
            let mut expected = [0; 4];
            expected[index] = 1;
            assert_eq!(wrong(&row), expected, "{fault}: {row:#}");
            let reason = row["reason"].as_str().unwrap();
            let part = format!("1 {fault}");
            let part = part.replace("1 lost", "1 were lost");
            assert!(reason.contains(&part), "{fault}: {reason}");
            let (sent, received) = (&row["integrity"]["sent"], &row["integrity"]["received"]);
            let surplus = sent.as_i64().unwrap() - received.as_i64().unwrap();
            assert_eq!(surplus, [1, -1, 0, 0][index], "{fault}: {row:#}");
        }
    }
}

#[test]
fn every_command_sends_records_to_a_program() {
    let lines: Vec<String> = (0..500)
        .map(|n| format!("{n} {}\n", "x".repeat(n % 90)))
        .collect();
    let file = temporary_file("records-of-a-program", lines.concat().as_bytes());
    let payload = ["--payload", file.to_str().unwrap(), "--frame", "line"];
    for (verb, own) in [
        ("run", &[][..]),
        ("rtt", &[]),
        ("stream", &[]),
        ("curve", &["--rates", "1k,5k"]),
        ("wake", &["--gaps", "500us"]),
    ] {
        let more = [own, &payload].concat();
        let (code, report, stderr) = measure_by(verb, "with-file", &command(), &more);
        assert_eq!(code, 0, "{verb}: {stderr}{report:#}");
        rows(&report).iter().for_each(assert_accounted_for);
    }
    for workload in ["ticks", "logs:3", "video"] {
        let more = ["--workload", workload, "--rate", "2k"];
        let (code, report, stderr) = measure_by("paced", "with-workload", &command(), &more);
        assert_eq!(code, 0, "{workload}: {stderr}{report:#}");
        rows(&report).iter().for_each(assert_accounted_for);
    }
    fs::remove_file(file).unwrap();
}

/// What is said when something was wrong in some of the windows, and nobody knows what.
fn is_vague(row: &Value) -> bool {
    let [lost, duplicated, reordered, corrupted] = wrong(row);
    lost + duplicated + reordered == 0 && corrupted > 0
}

/// Measures the Python of the document with some words changed.
fn changed(name: &str, changes: &[(&str, &str)], measure: impl FnOnce(&str, &str)) {
    if let Some(path) = python(name, changes) {
        measure(name, &format!("python3 \"{}\"", path.display()));
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_record_that_is_another_one_is_an_integrity_failure() {
    let another = (
        "order[\"start\"] + turn)",
        "order[\"start\"] + turn + (turn == 7))",
    );
    changed("another-record", &[another], |name, command| {
        let (code, row, stderr) = measure(name, command, &["--workload", "logs"]);
        assert_eq!(code, 4, "{stderr}{row:#}");
        assert!(is_vague(&row), "{row:#}");
    });
}

#[test]
fn a_fault_of_the_program_s_own_is_told_for_what_it_is() {
    // The 40th once more, and so not the one after it.
    let again = (
        "message = ends.message(order, turn)",
        "message = ends.message(order, turn - (turn == 40))",
    );
    changed("sends-twice", &[again], |name, command| {
        let (code, row, stderr) = measure(name, command, &[]);
        assert_eq!(code, 4, "{stderr}{row:#}");
        assert_eq!(wrong(&row), [1, 1, 0, 0], "{row:#}");
    });
    // One is never sent, and the receiver gives up waiting for it.
    let lossy = [
        (
            "    for turn in range(order[\"messages\"]):",
            "    given_up = \"crc32s\" in order\n    for turn in range(order[\"messages\"] - given_up):",
        ),
        (
            "if verb == \"initiate\" and turn == order",
            "if verb == \"send\" and turn == 40:\n            continue\n        if verb == \"initiate\" and turn == order",
        ),
        (
            "\"messages\": order[\"messages\"],",
            "\"messages\": order[\"messages\"] - given_up,",
        ),
    ];
    changed("loses", &lossy, |name, command| {
        let (code, row, stderr) = measure(name, command, &[]);
        assert_eq!(code, 4, "{stderr}{row:#}");
        assert_eq!(wrong(&row), [1, 0, 0, 0], "{row:#}");
    });
    // Only where nobody asks for a checksum of each, and then the repeated check can't find it.
    let sometimes = (
        "crc = zlib.crc32(message, crc)",
        "crc = zlib.crc32(message, crc) ^ (order[\"work_turns\"] > 0)",
    );
    changed("in-windows-alone", &[sometimes], |name, command| {
        let (code, row, stderr) = measure(name, command, &[]);
        assert_eq!(code, 4, "{stderr}{row:#}");
        assert!(is_vague(&row), "{row:#}");
    });
    // The check before the windows is good, and the one after them isn't.
    let worse = [
        (
            "crc, times, came, crcs = 0, [], [], []",
            "crc, times, came, crcs = 0, [], [], []\n    bad = os.path.exists(sys.argv[1]) and order[\"order\"] == \"send\"",
        ),
        (
            "message = ends.message(order, turn)",
            "message = ends.message(order, turn + bad * ((turn == 9) - (turn == 10)))",
        ),
        (
            "finished = now()",
            "finished = now()\n    if order[\"work_turns\"]: open(sys.argv[1], \"w\")",
        ),
    ];
    let mark = temporary_file(&format!("from-now-on-{}", std::process::id()), b"");
    fs::remove_file(&mark).unwrap();
    changed("gets-worse", &worse, |name, command| {
        let command = format!("{command} \"{}\"", mark.display());
        let (code, row, stderr) = measure(name, &command, &[]);
        assert_eq!(code, 4, "{stderr}{row:#}");
        assert_eq!(wrong(&row), [0, 0, 1, 0], "{row:#}");
        fs::remove_file(&mark).unwrap();
    });
}

#[test]
fn lies_about_moments_are_refused_with_one_sentence() {
    for (name, words, others, part) in [
        (
            "came-early",
            "came.append(now())",
            "came.append(now() - 10**9)",
            "before it was due at",
        ),
        (
            "came-late",
            "came.append(now())",
            "came.append(now() + 10**12)",
            "after the end at",
        ),
        (
            "came-backwards",
            "((\"came\", \"Q\", came)",
            "((\"came\", \"Q\", came[::-1])",
            "before message 1 at",
        ),
        (
            "came-too-few",
            "((\"came\", \"Q\", came)",
            "((\"came\", \"Q\", came[1:])",
            "bytes to the file came",
        ),
        (
            "came-never",
            "((\"came\", \"Q\", came)",
            "((\"come\", \"Q\", came)",
            "can't be read",
        ),
        (
            "says-nothing-of-each",
            "(\"crc32s\", \"I\", crcs))",
            "(\"crcs\", \"I\", crcs))",
            "the file crc32s",
        ),
        (
            "sends-early",
            "ends.wait(due[turn])",
            "pass",
            "before the first message was due at",
        ),
        (
            "sends-all-at-once",
            "ends.wait(due[turn])",
            "ends.wait(due[0])",
            "was due at",
        ),
    ] {
        changed(name, &[(words, others)], |name, command| {
            is_refused_with(&["--rate", "1k"], name, command, &[part]);
        });
    }
}

#[test]
fn a_planted_stall_shows_in_what_a_program_tells() {
    const MS: u64 = 1_000_000;
    let more = [
        "--rate",
        "1k",
        "--arrivals",
        "constant",
        "--duration",
        "400ms",
        "--rounds",
        "1",
        "--plant-stall",
        "100ms",
    ];
    let (code, report, stderr) = measure_by("paced", "stalls", &command(), &more);
    assert_eq!(code, 0, "{stderr}{report:#}");
    let windows = rows(&report)[0]["windows"].as_array().unwrap();
    assert!(!windows.is_empty(), "{report:#}");
    for window in windows {
        let times = &window["times_ns"];
        // A quarter of the messages waits for its end, and a tenth of all for more than half of it.
        assert!(times["p90"].as_u64() >= Some(50 * MS), "{times}");
        assert!(times["max"].as_u64() >= Some(95 * MS), "{times}");
    }
    let more = ["--plant-delay", "1us"];
    is_refused_with(&more, "is-delayed", &command(), &["can't be made slower"]);
}

#[test]
fn the_program_is_told_what_it_must_know() {
    // A file for each process: two that append to one would mix their lines.
    let heard = temporary_folder("heard");
    let tee = format!(
        "sh -c 'sed -u /quit/q | tee \"{}/$$\" | \"{}\"'",
        heard.display(),
        command()
    );
    let (code, row, stderr) = measure("listens-well", &tee, &["--workload", "logs"]);
    assert_eq!(code, 0, "{stderr}{row:#}");
    let processes: Vec<Vec<Value>> = fs::read_dir(&heard)
        .unwrap()
        .map(|file| {
            let lines = fs::read_to_string(file.unwrap().path()).unwrap();
            let lines = lines.lines();
            lines
                .map(|line| serde_json::from_str(line).unwrap())
                .collect()
        })
        .collect();
    fs::remove_dir_all(heard).unwrap();
    let lines: Vec<Value> = processes.concat();
    let of = |verb: &'static str| lines.iter().filter(move |line| line["order"] == verb);
    for line in of("send_at") {
        assert!(line["due"].is_string() && line["start"].is_u64(), "{line}");
        assert_eq!(line["lens"], json!([]));
    }
    assert!(of("receive_at").all(|line| line["came"].is_string()));
    assert!(of("send_at").count() > 0 && of("send_at").count() == of("receive_at").count());
    // In the check alone each message is asked for.
    let is_asked_for_each = |line: &Value| line["crc32s"].is_string();
    assert!(of("receive").all(|line| is_asked_for_each(line) == line["start"].is_null()));
    for process in &processes {
        let (hello, orders) = process.split_first().unwrap();
        let has_records = orders.iter().any(|order| order["start"].is_u64());
        assert_eq!(hello["records"].is_string(), has_records, "{hello}");
        assert!(hello["role"] != "check" || !has_records, "{hello}");
    }
    // Made-up messages before the windows, and records in them.
    for side in ["left", "right"] {
        let greeted = || lines.iter().filter(|line| line["role"] == side);
        assert!(greeted().all(|line| line["shares_core"].is_boolean()));
        assert!(greeted().any(|line| line["records"].is_null()));
        assert!(greeted().any(|line| line["records"].is_string()));
    }
}
