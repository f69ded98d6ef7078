//! What holds for any text of the project.

use super::{Violation, contains_word};

/// The most lines of a source file.
pub const LINES_MAX: usize = 500;

/// Notes of work left over. Put together here, so that this file is not one of its own finds.
const NOTES: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("HA", "CK"),
];

/// Where the home of a user or a checkout would be on some machine.
const MACHINE_PATHS: [&str; 4] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
];

/// A file that is longer than one reads in one go.
pub fn too_long(path: &str, text: &str) -> Vec<Violation> {
    let lines = text.lines().count();
    if lines <= LINES_MAX {
        return Vec::new();
    }
    vec![Violation::new(
        path,
        lines,
        format!("{lines} lines, at most {LINES_MAX} are wanted"),
    )]
}

/// Notes that something is still to be done.
pub fn notes_of_work(path: &str, text: &str) -> Vec<Violation> {
    find(path, text, |line| {
        NOTES.iter().find(|note| contains_word(line, note)).copied()
    })
}

/// Absolute paths that exist on one machine only.
pub fn machine_paths(path: &str, text: &str) -> Vec<Violation> {
    find(path, text, |line| {
        MACHINE_PATHS
            .iter()
            .find(|path| line.contains(**path))
            .copied()
    })
}

fn find<'a>(path: &str, text: &str, wrong: impl Fn(&str) -> Option<&'a str>) -> Vec<Violation> {
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(at, line)| {
            let found = wrong(line)?;
            Some(Violation::new(
                path,
                at + 1,
                format!("`{found}` has no place in the project"),
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_500_lines_passes_and_one_more_does_not() {
        assert_eq!(too_long("f.rs", &"x\n".repeat(500)), []);
        assert_eq!(too_long("f.rs", &"x\n".repeat(501)).len(), 1);
    }

    #[test]
    fn notes_of_work_are_found_as_words() {
        for note in NOTES {
            let found = notes_of_work("f.rs", &format!("fine\n// {note}: later"));
            assert_eq!(found.len(), 1, "{note}");
            assert_eq!(found[0].line, 2);
            assert_eq!(notes_of_work("f.rs", &format!("A{note}B {note}_1")), []);
        }
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        for wrong in MACHINE_PATHS {
            let found = machine_paths("f.md", &format!("see\n{wrong}someone/file"));
            assert_eq!(found.len(), 1, "{wrong}");
            assert_eq!(found[0].line, 2);
        }
        assert_eq!(
            machine_paths("f.md", "/dev/shm/prices /srv/share /tmp/x"),
            []
        );
    }
}
