//! Planted violations of the ledger's rules.

use super::*;

const LEDGER: &str = "# Ledger\n\n\
    | edge | release side | acquire side | guarantees | loom model |\n\
    |---|---|---|---|---|\n\
    | `slot_full` | commit | receive | whole | `loom_spsc.rs::wraps`, `loom_spsc.rs::closes` |\n\
    | `gate` | waker | sleeper | no lost wakeup | `loom_gate.rs::wakes` |\n\nThe end.\n";

const SOUND: &str = "fn f() {\n\
    a.store(1, Ordering::Release); // edge: slot_full.release\n\
    // edge: slot_full.acquire\n\
    a.load(Ordering::Acquire);\n\
    fence(Ordering::SeqCst); // edge: gate.fence\n\
    fence(SeqCst);\n\
    // edge: gate.fence\n\
    }\n";

fn all_models(_file: &str, _function: &str) -> bool {
    true
}

fn messages(violations: &[Violation]) -> Vec<String> {
    violations.iter().map(ToString::to_string).collect()
}

/// The violations of a source file by itself.
fn in_code(source: &str) -> Vec<String> {
    messages(&sites("f.rs", source).1)
}

/// The violations of a source file held against the ledger.
fn against_ledger(source: &str) -> Vec<String> {
    let (rows, wrong) = ledger("l.md", LEDGER);
    assert_eq!(wrong, []);
    messages(&compare(
        "l.md",
        &rows,
        &sites("f.rs", source).0,
        all_models,
    ))
}

#[test]
fn sound_code_and_its_ledger_pass() {
    assert_eq!(in_code(SOUND), [""; 0]);
    assert_eq!(against_ledger(SOUND), [""; 0]);
}

#[test]
fn an_ordering_without_a_tag_is_found() {
    for ordering in ["Acquire", "Release", "AcqRel", "fence(SeqCst)"] {
        let found = in_code(&format!("fn f() {{\n    x(Ordering::{ordering});\n}}"));
        let found_bare = in_code(&format!("fn f() {{\n    {ordering};\n}}"));
        let found = if ordering.starts_with("fence") {
            found_bare
        } else {
            found
        };
        let expected = if ordering == "AcqRel" { 2 } else { 1 };
        assert_eq!(found.len(), expected, "{ordering}: {found:?}");
        assert!(
            found[0].starts_with("f.rs:2: an ordering without a tag"),
            "{found:?}"
        );
    }
}

#[test]
fn a_tag_two_lines_away_is_too_far() {
    let found = in_code("// edge: e.acquire\n\na.load(Acquire);");
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_tag_of_the_other_side_does_not_count() {
    let found = in_code("a.load(Acquire); // edge: e.release");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("without a tag `// edge: NAME.acquire`"));
    assert!(found[1].contains("e.release has no such ordering"));
}

#[test]
fn two_orderings_on_neighbouring_lines_need_two_tags() {
    let found = in_code("a.load(Acquire);\nb.load(Acquire); // edge: e.acquire");
    assert_eq!(
        found,
        ["f.rs:1: an ordering without a tag `// edge: NAME.acquire` beside it"]
    );
}

#[test]
fn both_sides_of_acq_rel_may_be_tagged_on_one_line() {
    assert_eq!(
        in_code("a.swap(1, AcqRel); // edge: e.acquire, d.release"),
        [""; 0]
    );
    let (sites, _) = sites("f.rs", "a.swap(1, AcqRel); // edge: e.acquire, d.release");
    let ends: Vec<(&str, Side)> = sites.iter().map(|s| (s.edge.as_str(), s.side)).collect();
    assert_eq!(ends, [("e", Side::Acquire), ("d", Side::Release)]);
}

#[test]
fn seq_cst_is_for_fences_only() {
    let found = in_code("a.load(Ordering::SeqCst);");
    assert_eq!(found, ["f.rs:1: SeqCst is for fences only"]);
    assert_eq!(in_code("compiler_fence(Ordering::SeqCst);"), [""; 0]);
    assert_eq!(in_code("my_fence(Ordering::SeqCst);").len(), 1);
}

#[test]
fn imports_comments_literals_and_tests_need_no_tags() {
    assert_eq!(
        in_code("use a::{\n    Acquire,\n    Release,\n};\npub(crate) use b::SeqCst;"),
        [""; 0]
    );
    assert_eq!(in_code("// Acquire here\nf(\"Release\");"), [""; 0]);
    assert_eq!(
        in_code("#[cfg(test)]\nmod tests {\n    fn f() { a.load(SeqCst); }\n}"),
        [""; 0]
    );
    assert_eq!(
        in_code("fn f() {\n    a.load(Acquire)\n}").len(),
        1,
        "a brace is no import"
    );
}

#[test]
fn a_tag_that_has_no_row_is_found() {
    let found =
        against_ledger(&SOUND.replace("// edge: slot_full.release", "// edge: other.release"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], "f.rs:2: the edge other has no row in l.md");
    assert!(found[1].contains("slot_full has 0 release, 1 acquire and 0 fence sites"));
}

#[test]
fn a_row_without_one_of_its_sides_is_found() {
    let found = against_ledger(&SOUND.replace("slot_full.acquire", "nothing"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("l.md:5: slot_full has 1 release, 0 acquire"),
        "{found:?}"
    );
}

#[test]
fn one_fence_alone_is_found() {
    let found = against_ledger(&SOUND.replace("    fence(SeqCst);\n", "").replacen(
        "gate.fence",
        "x",
        1,
    ));
    assert!(
        found
            .iter()
            .any(|found| found.contains("gate has 0 release, 0 acquire and 1 fence"))
    );
}

#[test]
fn a_model_that_does_not_exist_is_found() {
    let (rows, _) = ledger("l.md", LEDGER);
    let (sites, _) = sites("f.rs", SOUND);
    let found = compare("l.md", &rows, &sites, |file, name| {
        (file, name) != ("loom_spsc.rs", "closes")
    });
    let found = messages(&found);
    assert_eq!(
        found,
        ["l.md:5: slot_full names a model that does not exist: loom_spsc.rs::closes"]
    );
}

#[test]
fn a_row_that_is_none_is_found() {
    let broken = [
        ("| `a` | b | c | d |", "a row is"),
        ("| `a` | b | | d | `f.rs::g` |", "a row is"),
        ("| a | b | c | d | `f.rs::g` |", "backticks"),
        ("| `a` | b | c | d | a test |", "a loom model is named"),
        ("| `gate` | b | c | d | `f.rs::g` |", "a row already"),
    ];
    for (row, expected) in broken {
        let text = LEDGER.replace("\n\nThe end", &format!("\n{row}\n\nThe end"));
        let (_, wrong) = ledger("l.md", &text);
        assert_eq!(wrong.len(), 1, "{row}: {wrong:?}");
        assert!(
            wrong[0].message.contains(expected) && wrong[0].line == 7,
            "{row}: {wrong:?}"
        );
    }
}

#[test]
fn a_ledger_without_a_table_is_found() {
    assert_eq!(ledger("l.md", "# Ledger\n").1.len(), 1);
}

#[test]
fn a_mutant_lacks_the_side_that_its_tag_names_and_nothing_else() {
    let changed = |source: &str| -> Vec<String> {
        mutants("f.rs", source)
            .into_iter()
            .map(|mutant| mutant.changed)
            .collect()
    };
    assert_eq!(
        changed(SOUND),
        [
            "a.store(1, Ordering::Relaxed); // edge: slot_full.release",
            "a.load(Ordering::Relaxed);",
            "(); // edge: gate.fence",
            "();",
        ]
    );
    let both = "a.swap(1, AcqRel); // edge: e.acquire, d.release";
    let expected = ["a.swap(1, Release);", "a.swap(1, Acquire);"];
    for (changed, expected) in changed(both).iter().zip(expected) {
        assert!(changed.starts_with(expected), "{changed}");
    }
    let mutant = &mutants("f.rs", SOUND)[0];
    let differing = mutant
        .source
        .lines()
        .zip(SOUND.lines())
        .filter(|(a, b)| a != b)
        .count();
    assert_eq!((differing, mutant.site.line), (1, 2));
}
