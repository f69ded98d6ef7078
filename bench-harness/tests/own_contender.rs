//! A contender from outside the crate: the example answers all questions, and its own program measures it beside the others.

#[allow(dead_code, reason = "its program is run as one")]
#[path = "../examples/packet_pipe.rs"]
mod packet_pipe;
mod support;

use std::process::Command;

use serde_json::Value;

fn program() -> Command {
    let mut command = Command::new("timeout");
    command.arg("100").arg(support::example("packet_pipe"));
    command
}

#[test]
fn a_program_of_ones_own_measures_its_contender_beside_the_others() {
    let args =
        "run --output json --rounds 2 --duration 1ms --contender packet-pipe --contender pipe";
    let output = program().args(args.split(' ')).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["results"].as_array().unwrap();
    for name in ["packet-pipe", "pipe"] {
        let row = rows.iter().find(|row| row["contender"] == name).unwrap();
        assert_eq!(row["status"], "ok", "{row:#}");
        assert_eq!(row["integrity"]["sent"], row["integrity"]["received"]);
    }
}

#[test]
fn its_limit_is_told_as_that_of_any_other() {
    let args = "run --output json --rounds 2 --duration 1ms --contender packet-pipe --size 4096";
    let output = program().args(args.split(' ')).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &report["results"][0];
    assert_eq!(row["status"], "unavailable", "{row:#}");
    assert!(
        row["reason"].as_str().unwrap().contains("4095 B"),
        "{row:#}"
    );
}
