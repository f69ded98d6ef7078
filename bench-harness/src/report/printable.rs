//! Text from files that others wrote, made harmless for terminals, tables and data frames.

use serde_json::Value;

/// Replaces control characters in all strings by what they are called, as in `\u{1b}`: one of them could move a terminal's cursor, hide a
/// line, or break one. Whether there were any.
pub(super) fn make_printable(value: &mut Value) -> bool {
    match value {
        Value::String(text) => {
            let is_harmful = text.chars().any(is_harmful);
            if is_harmful {
                *text = printable(text);
            }
            is_harmful
        }
        // All of them: `any` would stop at the first one.
        Value::Array(all) => all.iter_mut().filter_map(changed).count() > 0,
        Value::Object(all) => all.values_mut().filter_map(changed).count() > 0,
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn changed(value: &mut Value) -> Option<()> {
    make_printable(value).then_some(())
}

/// Control characters, and those that turn the direction of writing: they let a line show other words than it has.
fn is_harmful(character: char) -> bool {
    let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || turns || matches!(character, '\u{2028}' | '\u{2029}')
}

/// The same text with the names of such characters.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmful(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_could_move_a_cursor_is_shown_by_its_name_and_the_rest_is_kept() {
        let mut value = json!({
            "name": "a\u{1b}[2J\rb\n\u{7f}\u{9b}",
            "more": [1, null, true, ["µs \\ \"x\" <script>", "\u{202e}gnp"]],
        });
        assert!(make_printable(&mut value));
        assert_eq!(value["name"], "a\\u{1b}[2J\\rb\\n\\u{7f}\\u{9b}");
        assert_eq!(value["more"][3][0], "µs \\ \"x\" <script>");
        assert_eq!(value["more"][3][1], "\\u{202e}gnp");
        assert!(!make_printable(&mut value));
    }
}
