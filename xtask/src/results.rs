//! Whether a run of the harness is sound: everything verified, nothing failed. Speed is not judged here.

use std::path::Path;

use serde_json::Value;

use crate::{Failure, workspace};

const SCHEMA: &str = "ipc-bench-harness/1";

/// Counts of integrity that must be zero.
const FAULTS: [&str; 4] = ["lost", "duplicated", "reordered", "corrupted"];

/// Rows that no machine may lack, and the ways of waiting in which each must be there.
const REQUIRED: [&str; 4] = [
    "ring-mpmc",
    "ring-mpmc-bytes",
    "ring-spsc",
    "ring-spsc-bytes",
];
/// So many of them can be shared by several processes, the first ones.
const REQUIRED_OF_MANY: usize = 2;
const WAITS: [&str; 3] = ["spin", "spin-park", "park"];

/// Checks a file of results and prints what is in it.
///
/// # Errors
/// Lists all that is wrong with it.
pub fn run(file: &Path) -> Result<(), Failure> {
    let failure =
        |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| failure(&error))?;
    let results: Value = serde_json::from_str(&text).map_err(|error| failure(&error))?;
    let mut wrong = breaches(&results, &published_schema()?)?;
    wrong.extend(faults(&results));
    if !wrong.is_empty() {
        return Err(failure(&format!(
            "{} faults\n  {}",
            wrong.len(),
            wrong.join("\n  ")
        )));
    }
    println!("{}", summary(&results));
    Ok(())
}

/// The schema that is published with the project.
fn published_schema() -> Result<Value, Failure> {
    let path = workspace().join("docs/results.schema.json");
    let failure =
        |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|error| failure(&error))?;
    serde_json::from_str(&text).map_err(|error| failure(&error))
}

/// Where the results aren't what the schema says: the first few places.
fn breaches(results: &Value, schema: &Value) -> Result<Vec<String>, Failure> {
    const TOLD_MAX: usize = 10;
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| Failure::new(format!("the schema is none: {error}")))?;
    let told = |error: jsonschema::ValidationError<'_>| {
        format!("against the schema, at {}: {error}", error.instance_path())
    };
    Ok(validator
        .iter_errors(results)
        .take(TOLD_MAX)
        .map(told)
        .collect())
}

fn rows(results: &Value) -> impl Iterator<Item = &Value> {
    results["results"].as_array().into_iter().flatten()
}

fn summary(results: &Value) -> String {
    let of = |status: &str| rows(results).filter(|row| row["status"] == status).count();
    format!(
        "{} rows: {} ok, {} saturated, {} unavailable; nothing lost, duplicated, reordered or corrupted",
        rows(results).count(),
        of("ok"),
        of("saturated"),
        of("unavailable")
    )
}

/// All that is wrong with a run.
fn faults(results: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    if results["schema"] != SCHEMA {
        faults.push(format!("the schema is {}, not {SCHEMA}", results["schema"]));
    }
    for row in rows(results) {
        let name = format!(
            "{} ({}, {} B)",
            text(&row["contender"]),
            text(&row["wait"]),
            row["size_bytes"]
        );
        match row["status"].as_str() {
            Some("ok" | "saturated") => {}
            Some("unavailable") if row["reason"].as_str().is_some_and(|why| !why.is_empty()) => {}
            Some("unavailable") => faults.push(format!("{name} is unavailable without a reason")),
            status => {
                let status = status.unwrap_or("nothing");
                faults.push(format!(
                    "{name} has the status {status}: {}",
                    text(&row["reason"])
                ));
            }
        }
        for fault in FAULTS {
            // A row that moves no messages has no such count.
            let count = row["integrity"][fault].as_u64().unwrap_or(0);
            if count != 0 {
                faults.push(format!("{name}: {count} messages were {fault}"));
            }
        }
    }
    for (contender, wait) in required(results)
        .iter()
        .flat_map(|name| WAITS.map(|wait| (*name, wait)))
    {
        if !rows(results).any(|row| is_row(row, contender, wait) && row["status"] == "ok") {
            faults.push(format!("there is no result of {contender}/{wait}"));
        }
    }
    faults
}

/// The rows that must be there: with several processes on a side, or one that is stopped, those of the ring for many.
fn required(results: &Value) -> &'static [&'static str] {
    let settings = &results["settings"];
    let is_several = |side: &str| settings[side].as_u64().is_some_and(|count| count > 1);
    if is_several("producers") || is_several("consumers") || settings["stopped"].is_string() {
        &REQUIRED[..REQUIRED_OF_MANY]
    } else {
        &REQUIRED
    }
}

/// The way of waiting stands in a field of its own, and may be part of the name as well.
fn is_row(row: &Value, contender: &str, wait: &str) -> bool {
    let name = text(&row["contender"]);
    (name == contender || name == format!("{contender}/{wait}")) && row["wait"] == wait
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sound() -> Value {
        let rings = REQUIRED.iter().flat_map(|name| {
            WAITS.map(|wait| {
                json!({
                    "contender": name, "wait": wait, "size_bytes": 64, "status": "ok", "reason": null,
                    "integrity": { "lost": 0, "duplicated": 0, "reordered": 0, "corrupted": 0 },
                })
            })
        });
        let mut rows: Vec<Value> = rings.collect();
        rows.push(json!({
            "contender": "posix-mq", "wait": "park", "size_bytes": 64,
            "status": "unavailable", "reason": "no message queues", "integrity": null,
        }));
        json!({ "schema": SCHEMA, "results": rows })
    }

    fn only_fault(results: &Value) -> String {
        let found = faults(results);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }

    #[test]
    fn a_sound_run_passes() {
        assert_eq!(faults(&sound()), [""; 0]);
        assert!(summary(&sound()).starts_with("13 rows: 12 ok, 0 saturated, 1 unavailable"));
    }

    #[test]
    fn a_field_that_is_missing_or_of_another_type_breaks_the_schema() {
        let schema = json!({
            "type": "object",
            "properties": { "seed": { "type": "integer" } },
            "required": ["seed"],
        });
        let breaches = |results: Value| breaches(&results, &schema).unwrap();
        assert_eq!(breaches(json!({ "seed": 7, "more": 1 })), [""; 0]);
        assert!(breaches(json!({}))[0].contains("seed"));
        assert!(breaches(json!({ "seed": "7" }))[0].contains("/seed"));
    }

    #[test]
    fn the_published_schema_is_one_and_does_not_allow_everything() {
        let schema = published_schema().unwrap();
        assert!(!breaches(&sound(), &schema).unwrap().is_empty());
    }

    #[test]
    fn a_failed_row_and_one_without_a_status_are_found() {
        let mut results = sound();
        results["results"][12]["status"] = json!("failed");
        assert!(only_fault(&results).contains("posix-mq (park, 64 B) has the status failed"));
        results["results"][12]["status"] = json!(null);
        assert!(only_fault(&results).contains("has the status nothing"));
    }

    #[test]
    fn every_kind_of_damage_is_found() {
        for fault in FAULTS {
            let mut results = sound();
            results["results"][2]["integrity"][fault] = json!(3);
            assert!(only_fault(&results).ends_with(&format!("3 messages were {fault}")));
        }
    }

    #[test]
    fn a_missing_ring_is_found() {
        let mut results = sound();
        results["results"][1]["wait"] = json!("park");
        assert_eq!(
            only_fault(&results),
            "there is no result of ring-mpmc/spin-park"
        );
        results["results"][1] = json!({
            "contender": "ring-mpmc/spin-park", "wait": "spin-park", "status": "ok",
        });
        assert_eq!(
            faults(&results),
            [""; 0],
            "the name may include the way of waiting"
        );
    }

    #[test]
    fn the_ring_for_two_may_be_missing_where_it_cannot_be() {
        let mut results = sound();
        for row in results["results"].as_array_mut().unwrap() {
            if row["contender"].as_str().unwrap().starts_with("ring-spsc") {
                row["status"] = json!("unavailable");
                row["reason"] = json!("one producer and one consumer");
            }
        }
        assert_eq!(faults(&results).len(), 6);
        for settings in [
            json!({ "producers": 2, "consumers": 1 }),
            json!({ "producers": 1, "consumers": 3 }),
            json!({ "producers": 1, "consumers": 1, "stopped": "producer" }),
        ] {
            results["settings"] = settings;
            assert_eq!(faults(&results), [""; 0]);
        }
    }

    #[test]
    fn an_unavailable_row_without_a_reason_and_another_schema_are_found() {
        let mut results = sound();
        results["results"][12]["reason"] = json!("");
        assert!(only_fault(&results).contains("unavailable without a reason"));
        let mut results = sound();
        results["schema"] = json!("other/1");
        assert!(only_fault(&results).contains("the schema is"));
    }

    #[test]
    fn an_empty_file_is_not_a_sound_run() {
        assert_eq!(faults(&json!({})).len(), 1 + REQUIRED.len() * WAITS.len());
    }
}
