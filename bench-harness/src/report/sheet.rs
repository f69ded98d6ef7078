//! Sheets: what the tables say, whoever draws them (a terminal, Markdown, a page).

/// A table: a title, columns in groups, and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// What it shows.
    pub title: String,
    /// Its columns; the first one names the line.
    pub columns: Vec<Column>,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What it has in common with its neighbours, as in `round trip ns`; empty if nothing.
    pub group: String,
    /// Its own name.
    pub name: String,
    /// Where there isn't room for all, columns are dropped in falling order of this number; those with 0 never are.
    pub rank: u32,
    /// Whether it holds words rather than numbers.
    pub is_text: bool,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The heading of the lines below.
    Section(String),
    /// A cell for each column.
    Cells(Vec<String>),
}

impl Column {
    /// A column of numbers that is never dropped.
    pub fn number(group: &str, name: &str) -> Self {
        Self {
            group: group.to_owned(),
            name: name.to_owned(),
            rank: 0,
            is_text: false,
        }
    }

    /// A column of words that is never dropped.
    pub fn text(name: &str) -> Self {
        Self {
            is_text: true,
            ..Self::number("", name)
        }
    }

    /// The same, to be dropped in that order.
    #[must_use]
    pub fn ranked(self, rank: u32) -> Self {
        Self { rank, ..self }
    }

    /// Both names, as in `round trip ns p99`.
    pub fn full_name(&self) -> String {
        format!("{} {}", self.group, self.name).trim().to_owned()
    }
}

impl Sheet {
    /// The same without the columns in which no line has anything to say.
    #[must_use]
    pub fn without_empty_columns(self) -> Self {
        let says = |column: usize| {
            let cells = self.lines.iter().filter_map(Line::cells);
            cells
                .filter_map(|cells| cells.get(column))
                .any(|cell| !cell.is_empty() && cell != super::numbers::NONE)
        };
        let kept: Vec<usize> = (0..self.columns.len())
            .filter(|&column| self.columns[column].is_text || says(column))
            .collect();
        self.only(&kept)
    }

    /// The same with those columns alone.
    #[must_use]
    pub fn only(&self, kept: &[usize]) -> Self {
        let of_line = |line: &Line| match line {
            Line::Section(text) => Line::Section(text.clone()),
            Line::Cells(cells) => Line::Cells(kept.iter().map(|&c| cells[c].clone()).collect()),
        };
        Self {
            title: self.title.clone(),
            columns: kept.iter().map(|&c| self.columns[c].clone()).collect(),
            lines: self.lines.iter().map(of_line).collect(),
        }
    }

    /// Contiguous columns of the same group: its name, and how many they are.
    pub fn groups(&self) -> Vec<(&str, usize)> {
        let same = |a: &Column, b: &Column| a.group == b.group;
        let runs = self.columns.chunk_by(same);
        runs.map(|run| (run[0].group.as_str(), run.len())).collect()
    }
}

impl Line {
    /// The cells, if it has any.
    pub fn cells(&self) -> Option<&[String]> {
        match self {
            Self::Cells(cells) => Some(cells),
            Self::Section(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_without_anything_to_say_are_left_out_and_groups_close_up() {
        let sheet = Sheet {
            title: String::new(),
            columns: vec![
                Column::text("contender"),
                Column::number("stream", "ns/msg"),
                Column::number("paced", "p50"),
                Column::number("stream", "GB/s"),
                Column::text("status"),
            ],
            lines: vec![
                Line::Section("[x]".into()),
                Line::Cells(["a", "1", "-", "", "ok"].map(String::from).to_vec()),
                Line::Cells(["b", "-", "", "2", "ok"].map(String::from).to_vec()),
            ],
        };
        let sheet = sheet.without_empty_columns();
        assert_eq!(sheet.groups(), [("", 1), ("stream", 2), ("", 1)]);
        assert_eq!(sheet.columns[2].full_name(), "stream GB/s");
        assert_eq!(sheet.lines[2].cells().unwrap(), ["b", "-", "2", "ok"]);
    }
}
