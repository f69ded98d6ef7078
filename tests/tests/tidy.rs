//! Holds the sources of the workspace against the rules of style. The rules themselves are tested beside their code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use xtask::tidy::{Violation, atomics, edges, text};

/// The members whose code runs in shared memory, so that the ledger speaks of it.
const LEDGER_SOURCES: [&str; 2] = ["semaphore/src/", "ringbuf/src/"];
/// The only file that names atomics and loom.
const FACADE: &str = "semaphore/src/sync.rs";
const LEDGER: &str = "docs/memory-ordering.md";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Every text of the workspace by its path from the top.
fn texts() -> BTreeMap<String, String> {
    let root = workspace();
    let mut folders = vec![root.clone()];
    let mut texts = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            if name == ".git" || name == "target" {
                continue;
            }
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                // A folder with a mark of cargo is the output of a build too.
                if !path.join("CACHEDIR.TAG").exists() {
                    folders.push(path);
                }
            } else if let Ok(content) = fs::read_to_string(&path) {
                let path = path
                    .strip_prefix(&root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                texts.insert(path, content);
            }
        }
    }
    texts
}

fn is_rust(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "rs")
}

fn in_ledger_sources(path: &str) -> bool {
    is_rust(path) && LEDGER_SOURCES.iter().any(|member| path.starts_with(member))
}

/// Fails with every violation of a rule in the files that it is for.
fn check(is_for: impl Fn(&str) -> bool, rule: impl Fn(&str, &str) -> Vec<Violation>) {
    let texts = texts();
    let files: Vec<_> = texts.iter().filter(|(path, _)| is_for(path)).collect();
    assert!(!files.is_empty(), "the rule is for no file at all");
    fail_on(
        &files
            .into_iter()
            .flat_map(|(path, text)| rule(path, text))
            .collect::<Vec<_>>(),
    );
}

#[track_caller]
fn fail_on(violations: &[Violation]) {
    let list: Vec<String> = violations
        .iter()
        .map(|violation| format!("\n  {violation}"))
        .collect();
    assert!(
        violations.is_empty(),
        "{} places:{}",
        violations.len(),
        list.concat()
    );
}

#[test]
fn every_ordering_names_its_edge_and_every_edge_has_its_row_both_sides_and_a_model() {
    let texts = texts();
    let mut sites = Vec::new();
    let mut violations = Vec::new();
    for (path, text) in texts.iter().filter(|(path, _)| in_ledger_sources(path)) {
        let (found, wrong) = edges::sites(path, text);
        sites.extend(found);
        violations.extend(wrong);
    }
    let (rows, wrong) = edges::ledger(LEDGER, texts.get(LEDGER).map_or("", String::as_str));
    violations.extend(wrong);
    let model_exists = |file: &str, function: &str| {
        texts.iter().any(|(path, text)| {
            Path::new(path).file_name().is_some_and(|name| name == file)
                && text.contains(&format!("fn {function}("))
                && text.contains("#![cfg(loom)]")
        })
    };
    violations.extend(edges::compare(LEDGER, &rows, &sites, model_exists));
    fail_on(&violations);
    assert!(
        sites.len() >= 2 * rows.len(),
        "{} sites for {} rows",
        sites.len(),
        rows.len()
    );
}

#[test]
fn every_relaxed_access_gives_its_reason() {
    check(in_ledger_sources, atomics::relaxed_without_reason);
}

#[test]
fn only_the_facade_names_atomics_and_loom() {
    check(
        |path| in_ledger_sources(path) && path != FACADE,
        atomics::atomics_named,
    );
}

#[test]
fn every_unsafe_says_why_it_is_sound() {
    check(is_rust, atomics::unsafe_without_safety);
}

#[test]
fn no_source_file_is_too_long() {
    check(is_rust, text::too_long);
}

#[test]
fn nothing_is_noted_as_still_to_be_done() {
    check(|path| path != "Cargo.lock", text::notes_of_work);
}

#[test]
fn no_text_names_a_path_of_one_machine() {
    check(|path| path != "Cargo.lock", text::machine_paths);
}
