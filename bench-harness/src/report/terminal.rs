//! Sheets as text, as wide as a terminal: columns are dropped in their fixed order until the rest fits.

use std::fmt::Write;
use std::io::stdout;

use terminal_size::{Width, terminal_size_of};
use unicode_width::UnicodeWidthStr;

use super::sheet::{Line, Sheet};

/// How wide text is where nothing tells how wide it may be.
const WIDTH_ELSEWHERE: usize = 120;
/// No terminal is taken to be narrower.
const WIDTH_MIN: usize = 40;
/// Between columns of a group.
const GAP: usize = 2;
/// Between groups.
const GROUP_GAP: usize = 3;

/// How wide text may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Columns of characters for tables: none if they may be as wide as they like.
    pub table: Option<usize>,
    /// Columns of characters for sentences: none if their lines aren't broken.
    pub prose: Option<usize>,
}

impl Layout {
    /// For standard output: `COLUMNS` if it is set, else the terminal's width. What isn't a terminal gets 120 for tables, and sentences in
    /// one line each, so that programs find them whole.
    pub fn of_stdout(is_wide: bool) -> Self {
        let asked = std::env::var("COLUMNS").ok();
        let asked = asked.and_then(|text| text.trim().parse::<usize>().ok());
        let terminal = terminal_size_of(stdout()).map(|(Width(width), _)| usize::from(width));
        Self::choose(is_wide, asked, terminal)
    }

    fn choose(is_wide: bool, asked: Option<usize>, terminal: Option<usize>) -> Self {
        let known = asked.or(terminal).filter(|&width| width > 0);
        let width = known.map_or(WIDTH_ELSEWHERE, |width| width.max(WIDTH_MIN));
        Self {
            table: (!is_wide).then_some(width),
            prose: terminal.map(|_| width),
        }
    }

    /// A paragraph, broken into lines where it has to be.
    pub fn paragraph(&self, text: &str) -> String {
        match self.prose {
            None => text.to_owned(),
            Some(width) => textwrap::fill(text, width),
        }
    }
}

/// A sheet as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// Its lines, each with its line feed.
    pub text: String,
    /// The columns for which there was no room, in the order of the sheet, as in `stream GB/s, x limit; round trip max`.
    pub left_out: String,
}

/// Draws a sheet no wider than that, as far as dropping columns helps.
pub fn draw(sheet: &Sheet, width: Option<usize>) -> Drawn {
    let mut kept: Vec<usize> = (0..sheet.columns.len()).collect();
    let mut shown = sheet.only(&kept);
    while width.is_some_and(|width| Grid::of(&shown).width() > width) {
        let droppable = kept
            .iter()
            .copied()
            .filter(|&column| sheet.columns[column].rank > 0);
        let Some(worst) = droppable.max_by_key(|&column| sheet.columns[column].rank) else {
            break;
        };
        kept.retain(|&column| column != worst);
        shown = sheet.only(&kept);
    }
    let is_left_out = |column: &usize| !kept.contains(column);
    let left_out: Vec<usize> = (0..sheet.columns.len()).filter(is_left_out).collect();
    Drawn {
        left_out: names_of(&sheet.only(&left_out)),
        text: Grid::of(&shown).draw(),
    }
}

/// All columns by group.
fn names_of(sheet: &Sheet) -> String {
    let mut columns = sheet.columns.iter();
    let of_group = |(group, len): (&str, usize)| {
        let names: Vec<&str> = columns
            .by_ref()
            .take(len)
            .map(|c| c.name.as_str())
            .collect();
        format!("{group} {}", names.join(", ")).trim().to_owned()
    };
    let groups: Vec<String> = sheet.groups().into_iter().map(of_group).collect();
    groups.join("; ")
}

/// A sheet and the widths of its columns.
struct Grid<'a> {
    sheet: &'a Sheet,
    widths: Vec<usize>,
}

impl<'a> Grid<'a> {
    fn of(sheet: &'a Sheet) -> Self {
        let cells = || sheet.lines.iter().filter_map(Line::cells);
        let width = |column: usize| {
            let name = sheet.columns[column].name.width();
            cells()
                .map(|line| line[column].width())
                .fold(name, usize::max)
        };
        let mut grid = Self {
            sheet,
            widths: (0..sheet.columns.len()).map(width).collect(),
        };
        let mut first = 0;
        for (name, len) in sheet.groups() {
            // A group's name stands above its columns, between dashes where there is room.
            let needed = name.width();
            let span = grid.span(first, len);
            grid.widths[first] += needed.saturating_sub(span);
            first += len;
        }
        grid
    }

    fn span(&self, first: usize, len: usize) -> usize {
        self.widths[first..first + len].iter().sum::<usize>() + GAP * len.saturating_sub(1)
    }

    fn width(&self) -> usize {
        let groups = self.sheet.groups().len();
        let inner = self.widths.len() - groups;
        self.widths.iter().sum::<usize>() + GAP * inner + GROUP_GAP * groups.saturating_sub(1)
    }

    fn draw(&self) -> String {
        let mut text = String::new();
        if self
            .sheet
            .columns
            .iter()
            .any(|column| !column.group.is_empty())
        {
            push_line(&mut text, &self.group_names());
        }
        let names = self.sheet.columns.iter().map(|column| column.name.as_str());
        push_line(&mut text, &self.line(names));
        push_line(&mut text, &"─".repeat(self.width()));
        for line in &self.sheet.lines {
            match line {
                Line::Section(name) => push_line(&mut text, name),
                Line::Cells(cells) => {
                    push_line(&mut text, &self.line(cells.iter().map(String::as_str)));
                }
            }
        }
        text
    }

    fn group_names(&self) -> String {
        let mut first = 0;
        let mut parts = Vec::new();
        for (name, len) in self.sheet.groups() {
            let span = self.span(first, len);
            first += len;
            let room = span - name.width();
            parts.push(if name.is_empty() || room < 4 {
                format!("{}{name}", " ".repeat(room))
            } else {
                let dashes = room - 2;
                let before = dashes / 2;
                format!(
                    "{} {name} {}",
                    "─".repeat(before),
                    "─".repeat(dashes - before)
                )
            });
        }
        parts.join(&" ".repeat(GROUP_GAP))
    }

    fn line<'b>(&self, cells: impl Iterator<Item = &'b str>) -> String {
        let mut text = String::new();
        let mut previous: Option<&str> = None;
        for (index, cell) in cells.enumerate() {
            let column = &self.sheet.columns[index];
            if let Some(group) = previous {
                let gap = if group == column.group {
                    GAP
                } else {
                    GROUP_GAP
                };
                text.push_str(&" ".repeat(gap));
            }
            previous = Some(&column.group);
            let padding = " ".repeat(self.widths[index].saturating_sub(cell.width()));
            let result = if column.is_text {
                write!(text, "{cell}{padding}")
            } else {
                write!(text, "{padding}{cell}")
            };
            debug_assert!(result.is_ok(), "memory takes whatever is written to it");
        }
        text
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::sheet::Column;
    use super::*;

    fn sheet() -> Sheet {
        let column = |group, name, rank| Column::number(group, name).ranked(rank);
        Sheet {
            title: String::new(),
            columns: vec![
                Column::text("contender"),
                column("stream", "ns/msg", 0),
                column("stream", "GB/s", 2),
                column("round trip ns", "p50", 1),
                Column::text("status"),
            ],
            lines: vec![
                Line::Section("[message]".into()),
                Line::Cells(
                    ["a/spin", "12.3", "4.56", "1,234", "ok"]
                        .map(String::from)
                        .to_vec(),
                ),
            ],
        }
    }

    #[test]
    fn columns_are_dropped_by_rank_until_the_rest_fits() {
        let names = |width| draw(&sheet(), width).left_out;
        assert_eq!(names(None), "");
        assert_eq!(names(Some(80)), "");
        assert_eq!(names(Some(48)), "stream GB/s");
        assert_eq!(names(Some(40)), "stream GB/s; round trip ns p50");
        // What is never dropped stays, even where there is no room.
        assert_eq!(names(Some(3)), "stream GB/s; round trip ns p50");
        for width in [80, 48, 40] {
            let drawn = draw(&sheet(), Some(width)).text;
            assert!(drawn.lines().all(|line| line.width() <= width), "{drawn}");
        }
    }

    #[test]
    fn groups_have_their_names_above_their_columns() {
        let drawn = draw(&sheet(), None).text;
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines[0], "            ── stream ──   round trip ns");
        assert_eq!(
            lines[1],
            "contender   ns/msg  GB/s             p50   status"
        );
        assert_eq!(lines[4], "a/spin        12.3  4.56           1,234   ok");
    }

    #[test]
    fn the_width_is_what_is_asked_for_or_that_of_the_terminal() {
        let choose = Layout::choose;
        assert_eq!(choose(false, None, None).table, Some(120));
        assert_eq!(choose(false, None, Some(93)).table, Some(93));
        assert_eq!(choose(false, Some(70), Some(93)).table, Some(70));
        assert_eq!(choose(false, Some(0), None).table, Some(120));
        assert_eq!(choose(true, Some(70), Some(93)).table, None);
        assert_eq!(choose(false, Some(70), None).prose, None);
        assert_eq!(choose(true, None, Some(93)).prose, Some(93));
    }
}
