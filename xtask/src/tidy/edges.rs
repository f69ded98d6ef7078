//! The ledger of memory orderings: every ordering in the code names its edge, every edge has its row, and every row has
//! both sides in the code and a model that exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::source::{Line, scan};
use super::{Violation, contains_word, word_positions};

/// Which end of an edge an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Publishes.
    Release,
    /// Sees what was published.
    Acquire,
    /// One of two fences, of which one comes first.
    Fence,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Release => "release",
            Self::Acquire => "acquire",
            Self::Fence => "fence",
        })
    }
}

/// An end of an edge in the code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The name of the edge.
    pub edge: String,
    /// Which end of it.
    pub side: Side,
    /// The file.
    pub path: String,
    /// The line of the tag, from 1 on.
    pub line: usize,
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The name of the edge.
    pub edge: String,
    /// The models that fail when it is weakened: file and function.
    pub models: Vec<(String, String)>,
    /// The line in the ledger, from 1 on.
    pub line: usize,
}

/// A copy of a source file in which one tagged operation is weakened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// The end of an edge that it weakens.
    pub site: Site,
    /// The line that was changed, as it is now.
    pub changed: String,
    /// The whole file.
    pub source: String,
}

/// Weakens every tagged operation of a source file in turn: an ordering loses the side that its tag names, a fence goes.
pub fn mutants(path: &str, source: &str) -> Vec<Mutant> {
    let needs = needs_of_lines(&scan(source));
    let weaken = |site: Site| {
        let at = site.line - 1;
        let mut near = vec![at];
        near.extend(neighbours(at, needs.len()));
        let at = near
            .into_iter()
            .find(|near| needs[*near].contains(&site.side))?;
        let mut lines: Vec<String> = source.lines().map(str::to_owned).collect();
        lines[at] = weakened(&lines[at], site.side);
        let changed = lines[at].trim().to_owned();
        Some(Mutant {
            site,
            changed,
            source: lines.join("\n") + "\n",
        })
    };
    sites(path, source)
        .0
        .into_iter()
        .filter_map(weaken)
        .collect()
}

fn weakened(line: &str, side: Side) -> String {
    let (code, comment) = line.split_once("//").unwrap_or((line, ""));
    let code = match side {
        Side::Release => code
            .replace("AcqRel", "Acquire")
            .replace("Release", "Relaxed"),
        Side::Acquire => code
            .replace("Acquire", "Relaxed")
            .replace("AcqRel", "Release"),
        Side::Fence => code
            .replace("fence(Ordering::SeqCst)", "()")
            .replace("fence(SeqCst)", "()"),
    };
    if comment.is_empty() {
        code
    } else {
        format!("{code}//{comment}")
    }
}

/// Finds the tagged sites of a source file, and the orderings and tags that lack each other. Test code is left out.
pub fn sites(path: &str, source: &str) -> (Vec<Site>, Vec<Violation>) {
    let lines = scan(source);
    let needs = needs_of_lines(&lines);
    let tags: Vec<Vec<(String, Side)>> = lines.iter().map(|line| tags_in(&line.comment)).collect();
    let mut violations = Vec::new();
    let mut sites = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_test) {
        for side in &needs[at] {
            let has_tag = |near: usize| tags[near].iter().any(|(_, tagged)| tagged == side);
            let adjoining = neighbours(at, lines.len());
            // A tag on an adjoining line is ours only if that line has no such operation itself.
            let borrowed = |near: &usize| has_tag(*near) && !needs[*near].contains(side);
            if !has_tag(at) && !adjoining.iter().any(borrowed) {
                let message = format!("an ordering without a tag `// edge: NAME.{side}` beside it");
                violations.push(Violation::new(path, at + 1, message));
            }
        }
        for (edge, side) in &tags[at] {
            let mut near = neighbours(at, lines.len());
            near.push(at);
            if !near.iter().any(|near| needs[*near].contains(side)) {
                let message = format!("the tag {edge}.{side} has no such ordering beside it");
                violations.push(Violation::new(path, at + 1, message));
            }
            let (edge, path) = (edge.clone(), path.to_owned());
            sites.push(Site {
                edge,
                side: *side,
                path,
                line: at + 1,
            });
        }
        if uses_seq_cst_other_than_as_fence(&line.code) && !in_use(&lines, at) {
            violations.push(Violation::new(path, at + 1, "SeqCst is for fences only"));
        }
    }
    (sites, violations)
}

/// The tags that each line asks for.
fn needs_of_lines(lines: &[Line]) -> Vec<BTreeSet<Side>> {
    let needs = |(at, line): (usize, &Line)| {
        let mut sides = BTreeSet::new();
        if line.is_test || in_use(lines, at) {
            return sides;
        }
        let code = &line.code;
        if contains_word(code, "Acquire") || contains_word(code, "AcqRel") {
            sides.insert(Side::Acquire);
        }
        if contains_word(code, "Release") || contains_word(code, "AcqRel") {
            sides.insert(Side::Release);
        }
        if has_seq_cst_fence(code) {
            sides.insert(Side::Fence);
        }
        sides
    };
    lines.iter().enumerate().map(needs).collect()
}

fn neighbours(at: usize, len: usize) -> Vec<usize> {
    [at.checked_sub(1), Some(at + 1)]
        .into_iter()
        .flatten()
        .filter(|near| *near < len)
        .collect()
}

/// Whether the line is part of a `use` declaration.
fn in_use(lines: &[Line], at: usize) -> bool {
    let start = (0..=at).rev().find(|near| {
        *near == 0
            || lines[*near - 1].ends_statement() && {
                // A brace of a `use` group does not begin a statement.
                let before = lines[*near - 1].code.trim_end();
                !(before.ends_with('{') && before.contains("::{"))
            }
    });
    let first = lines[start.unwrap_or(at)].code.trim_start();
    let first = first.strip_prefix("pub").map_or(first, |rest| {
        rest.trim_start_matches(|c: char| c == '(' || c == ')' || c.is_alphanumeric())
            .trim_start()
    });
    first.starts_with("use ")
}

/// What is called with the `SeqCst` at this position of the code, if it is an argument.
fn callee(code: &str, at: usize) -> Option<&str> {
    let before = code[..at].strip_suffix("Ordering::").unwrap_or(&code[..at]);
    let before = before.strip_suffix('(')?;
    let start = before
        .rfind(|c: char| !c.is_alphanumeric() && c != '_')
        .map_or(0, |at| at + 1);
    Some(&before[start..])
}

fn has_seq_cst_fence(code: &str) -> bool {
    word_positions(code, "SeqCst").any(|at| callee(code, at) == Some("fence"))
}

fn uses_seq_cst_other_than_as_fence(code: &str) -> bool {
    // A fence for the compiler alone pairs with nothing, so it has no edge.
    let is_fence = |at| matches!(callee(code, at), Some("fence" | "compiler_fence"));
    word_positions(code, "SeqCst").any(|at| !is_fence(at))
}

/// The tags in a comment: `edge: a.release, b.acquire`.
fn tags_in(comment: &str) -> Vec<(String, Side)> {
    let Some((_, list)) = comment.split_once("edge:") else {
        return Vec::new();
    };
    let words = list.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '`'));
    words
        .filter_map(|word| {
            let (edge, side) = word.trim_end_matches('.').rsplit_once('.')?;
            let side = match side {
                "release" => Side::Release,
                "acquire" => Side::Acquire,
                "fence" => Side::Fence,
                _ => return None,
            };
            Some((edge.to_owned(), side))
        })
        .collect()
}

/// Reads the table of the ledger.
pub fn ledger(path: &str, text: &str) -> (Vec<Row>, Vec<Violation>) {
    let mut rows: Vec<Row> = Vec::new();
    let mut violations = Vec::new();
    let lines = text.lines().enumerate();
    let in_table = lines.skip_while(|(_, line)| !line.starts_with("| edge |"));
    for (at, line) in in_table
        .skip(2)
        .take_while(|(_, line)| line.starts_with('|'))
    {
        let cells: Vec<&str> = line
            .trim()
            .trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect();
        let mut wrong = |message: &str| violations.push(Violation::new(path, at + 1, message));
        if cells.len() != 5 || cells.iter().any(|cell| cell.is_empty()) {
            wrong("a row is `| edge | release side | acquire side | guarantees | loom model |`");
            continue;
        }
        let Some(edge) = quoted(cells[0]).next() else {
            wrong("the name of the edge stands in backticks");
            continue;
        };
        if rows.iter().any(|row| row.edge == edge) {
            wrong("this edge has a row already");
        }
        let models: Vec<(String, String)> = quoted(cells[4])
            .filter_map(|model| model.split_once("::"))
            .map(|(file, function)| (file.to_owned(), function.to_owned()))
            .collect();
        if models.is_empty() {
            wrong("a loom model is named as `file.rs::function`");
        }
        rows.push(Row {
            edge: edge.to_owned(),
            models,
            line: at + 1,
        });
    }
    if rows.is_empty() {
        violations.push(Violation::new(
            path,
            0,
            "no table that begins with `| edge |` was found",
        ));
    }
    (rows, violations)
}

/// What stands in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Holds the code against the ledger. `model_exists` is asked for a file and a function.
pub fn compare(
    path: &str,
    rows: &[Row],
    sites: &[Site],
    model_exists: impl Fn(&str, &str) -> bool,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    let known: BTreeSet<&str> = rows.iter().map(|row| row.edge.as_str()).collect();
    for site in sites
        .iter()
        .filter(|site| !known.contains(site.edge.as_str()))
    {
        let message = format!("the edge {} has no row in {path}", site.edge);
        violations.push(Violation::new(&site.path, site.line, message));
    }
    for row in rows {
        let mut counts: BTreeMap<Side, usize> = BTreeMap::new();
        for site in sites.iter().filter(|site| site.edge == row.edge) {
            *counts.entry(site.side).or_default() += 1;
        }
        let [releases, acquires, fences] = [Side::Release, Side::Acquire, Side::Fence]
            .map(|side| counts.get(&side).copied().unwrap_or(0));
        let has_both_sides = releases > 0 && acquires > 0 && fences == 0;
        let has_two_fences = fences >= 2 && releases == 0 && acquires == 0;
        if !has_both_sides && !has_two_fences {
            let message = format!(
                "{} has {releases} release, {acquires} acquire and {fences} fence sites in the code; \
                 it needs both sides, or two fences",
                row.edge
            );
            violations.push(Violation::new(path, row.line, message));
        }
        for (file, function) in row
            .models
            .iter()
            .filter(|(file, name)| !model_exists(file, name))
        {
            let message = format!(
                "{} names a model that does not exist: {file}::{function}",
                row.edge
            );
            violations.push(Violation::new(path, row.line, message));
        }
    }
    violations
}

#[cfg(test)]
mod tests;
