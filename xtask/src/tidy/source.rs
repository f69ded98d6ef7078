//! Rust source as lines, each with its code and its comment apart.
//!
//! Not a parser: it knows comments, literals and braces, which is what the rules need, and works on text that would
//! not compile.

/// A line of source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// What is left without comments and without the content of literals.
    pub code: String,
    /// The text of its comments, doc comments included, without their slashes.
    pub comment: String,
    /// Whether it belongs to an item that only tests are built with.
    pub is_test: bool,
}

impl Line {
    /// Whether there is nothing but a comment.
    pub fn is_comment_only(&self) -> bool {
        self.code.trim().is_empty() && !self.comment.trim().is_empty()
    }

    /// Whether there is nothing at all.
    pub fn is_blank(&self) -> bool {
        self.code.trim().is_empty() && self.comment.trim().is_empty()
    }

    /// Whether a statement or a block ends or begins with it.
    pub fn ends_statement(&self) -> bool {
        let code = self.code.trim_end();
        code.is_empty() || code.ends_with([';', '{', '}']) && !self.opens_value()
    }

    /// Whether the fields of a value begin behind it, as in `let a = Type {`.
    fn opens_value(&self) -> bool {
        let Some(before) = self.code.trim_end().strip_suffix('{') else {
            return false;
        };
        let name = before
            .trim_end()
            .rsplit(|c: char| !c.is_alphanumeric() && c != '_')
            .next();
        let is_type = name.is_some_and(|name| name.starts_with(|c: char| c.is_uppercase()));
        let words = before.split(|c: char| !c.is_alphanumeric() && c != '_');
        let opens_block = |word: &str| {
            let blocks = [
                "fn", "impl", "struct", "enum", "union", "trait", "mod", "for", "while",
            ];
            blocks.contains(&word) || ["if", "match", "unsafe", "loop", "else"].contains(&word)
        };
        is_type && !words.into_iter().any(opens_block)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    LineComment,
    BlockComment(u32),
    Text,
    RawText(usize),
}

/// Splits source into lines.
///
/// # Panics
/// Never: there is always a line to write to.
pub fn scan(source: &str) -> Vec<Line> {
    let mut lines = vec![Line::default()];
    let mut state = State::Code;
    let chars: Vec<char> = source.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let line = lines.last_mut().expect("there is always one");
        if rest[0] == '\n' {
            if state == State::LineComment {
                state = State::Code;
            }
            lines.push(Line::default());
            at += 1;
            continue;
        }
        let (next, width) = match state {
            State::Code => step_in_code(rest, line),
            State::LineComment => {
                line.comment.push(rest[0]);
                (state, 1)
            }
            State::BlockComment(depth) => step_in_block_comment(rest, depth, line),
            State::Text if rest[0] == '\\' && rest.get(1) != Some(&'\n') => (state, 2),
            State::Text if rest[0] == '"' => {
                line.code.push('"');
                (State::Code, 1)
            }
            State::RawText(hashes) if ends_raw(rest, hashes) => {
                line.code.push('"');
                (State::Code, 1 + hashes)
            }
            State::Text | State::RawText(_) => (state, 1),
        };
        state = next;
        at += width;
    }
    mark_tests(&mut lines);
    lines
}

fn step_in_code(rest: &[char], line: &mut Line) -> (State, usize) {
    let second = rest.get(1).copied();
    match (rest[0], second) {
        ('/', Some('/')) => {
            // The slash or bang of a doc comment is not part of its text either.
            let width = if matches!(rest.get(2), Some('/' | '!')) {
                3
            } else {
                2
            };
            (State::LineComment, width)
        }
        ('/', Some('*')) => (State::BlockComment(1), 2),
        ('"', _) => {
            line.code.push('"');
            (State::Text, 1)
        }
        ('r' | 'b' | 'c', _) if !after_name(line) && raw_start(rest).is_some() => {
            let (width, hashes) = raw_start(rest).expect("just seen");
            line.code.push('"');
            (State::RawText(hashes), width)
        }
        ('\'', Some('\\')) => {
            // An escaped character: up to the quote after the escape.
            let end = rest.iter().skip(3).position(|c| *c == '\'').unwrap_or(0);
            line.code.push_str("' '");
            (State::Code, end + 4)
        }
        ('\'', Some(_)) if rest.get(2) == Some(&'\'') => {
            line.code.push_str("' '");
            (State::Code, 3)
        }
        (c, _) => {
            line.code.push(c);
            (State::Code, 1)
        }
    }
}

fn step_in_block_comment(rest: &[char], depth: u32, line: &mut Line) -> (State, usize) {
    match (rest[0], rest.get(1)) {
        ('*', Some('/')) if depth == 1 => (State::Code, 2),
        ('*', Some('/')) => (State::BlockComment(depth - 1), 2),
        ('/', Some('*')) => (State::BlockComment(depth + 1), 2),
        (c, _) => {
            line.comment.push(c);
            (State::BlockComment(depth), 1)
        }
    }
}

fn after_name(line: &Line) -> bool {
    line.code
        .chars()
        .next_back()
        .is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// The width of `r#"`, `br"` and the like, and the number of hashes.
fn raw_start(rest: &[char]) -> Option<(usize, usize)> {
    let prefix = rest
        .iter()
        .take_while(|c| matches!(c, 'r' | 'b' | 'c'))
        .count();
    if prefix > 2 || !rest[..prefix].contains(&'r') {
        return None;
    }
    let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
    (rest.get(prefix + hashes) == Some(&'"')).then_some((prefix + hashes + 1, hashes))
}

fn ends_raw(rest: &[char], hashes: usize) -> bool {
    rest[0] == '"' && rest.len() > hashes && rest[1..=hashes].iter().all(|c| *c == '#')
}

/// Marks the items behind `#[cfg(test)]`, and everything in a file with `#![cfg(test)]`.
fn mark_tests(lines: &mut [Line]) {
    let is_test_only = |code: &str| {
        let code: String = code.split_whitespace().collect();
        super::contains_word(&code, "test") && code.contains("cfg(") && !code.contains("not(test)")
    };
    let mut at = 0;
    while at < lines.len() {
        let code = lines[at].code.trim_start().to_owned();
        if code.starts_with("#![") && is_test_only(&code) {
            mark(lines);
            return;
        }
        if !(code.starts_with("#[") && is_test_only(&code)) {
            at += 1;
            continue;
        }
        let end = end_of_item(lines, at);
        mark(&mut lines[at..=end]);
        at = end + 1;
    }
}

fn mark(lines: &mut [Line]) {
    for line in lines {
        line.is_test = true;
    }
}

/// The last line of the item whose attributes begin here.
fn end_of_item(lines: &[Line], start: usize) -> usize {
    let (mut braces, mut brackets) = (0_i32, 0_i32);
    for (at, line) in lines.iter().enumerate().skip(start) {
        for c in line.code.chars() {
            match c {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets -= 1,
                '{' => braces += 1,
                '}' => braces -= 1,
                _ => {}
            }
            let ended = c == '}' || c == ';';
            if ended && braces <= 0 && brackets <= 0 {
                return at;
            }
        }
    }
    lines.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(source: &str) -> Vec<String> {
        scan(source)
            .into_iter()
            .map(|line| line.code.trim().to_owned())
            .collect()
    }

    #[test]
    fn comments_of_all_kinds_are_taken_out_of_the_code() {
        let lines = scan("a(); // one\n/* two /* nested */ still */ b();\n/// doc\n//! top\nc()");
        let comments: Vec<&str> = lines.iter().map(|line| line.comment.trim()).collect();
        assert_eq!(comments, ["one", "two  nested  still", "doc", "top", ""]);
        let code: Vec<&str> = lines.iter().map(|line| line.code.trim()).collect();
        assert_eq!(code, ["a();", "b();", "", "", "c()"]);
    }

    #[test]
    fn what_is_in_a_literal_is_neither_code_nor_comment() {
        assert_eq!(
            code(r#"f("// Release \" {", '{', '\'', b'"');"#),
            [r#"f("", ' ', ' ', b' ');"#]
        );
        assert_eq!(code("f(r#\"a \" // b\"#, br\"x\");"), ["f(\"\", \"\");"]);
        assert_eq!(
            code("fn f<'a>(x: &'a str) { var(r) }"),
            ["fn f<'a>(x: &'a str) { var(r) }"]
        );
        assert_eq!(code("\"two\nlines\"; g()"), ["\"", "\"; g()"]);
    }

    #[test]
    fn items_behind_cfg_test_are_marked_and_others_are_not() {
        let source = "a();\n#[cfg(test)]\nmod tests {\n    fn f() { x[1]; }\n}\nb();\n\
                      #[cfg(all(test, not(loom)))]\nuse c;\nd();\n#[cfg(not(test))]\ne();";
        let marked: Vec<bool> = scan(source).iter().map(|line| line.is_test).collect();
        let [t, f] = [true, false];
        assert_eq!(marked, [f, t, t, t, t, f, t, t, f, f, f]);
        assert!(
            scan("#![cfg(test)]\na();\nb();")
                .iter()
                .all(|line| line.is_test)
        );
    }

    #[test]
    fn an_item_ends_at_its_own_brace_or_semicolon() {
        let source = "#[cfg(test)]\nconst A: [u8; 2] = [1, 2];\na();";
        let marked: Vec<bool> = scan(source).iter().map(|line| line.is_test).collect();
        assert_eq!(marked, [true, true, false]);
    }
}
