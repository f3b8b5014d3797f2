//! Rust source as far as a line-by-line check needs it: what is code, and what is test code.

/// Replaces comments and the contents of string and character literals by spaces, so that a
/// word found in the rest is code. Line breaks stay where they are.
pub(super) fn blank_out(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = token_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// End of the comment or literal that starts at `at`; `at` itself where none does.
fn token_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => find(chars, at, |rest| rest[0] == '\n'),
        '/' if next == Some('*') => block_comment_end(chars, at),
        'r' if !continues_word(chars, at) => raw_string_end(chars, at).unwrap_or(at),
        '"' => quoted_end(chars, at, '"'),
        // A lifetime has no closing quote two places on.
        '\'' if next == Some('\\') || chars.get(at + 2) == Some(&'\'') => {
            quoted_end(chars, at, '\'')
        }
        _ => at,
    }
}

fn continues_word(chars: &[char], at: usize) -> bool {
    // `br"…"` is a raw string too.
    let before = at.checked_sub(1).map(|i| chars[i]);
    before.is_some_and(|c| (c.is_alphanumeric() || c == '_') && c != 'b')
}

fn find(chars: &[char], from: usize, stop: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|&i| stop(&chars[i..])).unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < chars.len() {
        if chars[at..].starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if chars[at..].starts_with(&['*', '/']) {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn raw_string_end(chars: &[char], start: usize) -> Option<usize> {
    let n_hashes = chars[start + 1..].iter().take_while(|&&c| c == '#').count();
    let open = start + 1 + n_hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closing: Vec<char> =
        std::iter::once('"').chain(std::iter::repeat_n('#', n_hashes)).collect();
    let end = find(chars, open + 1, |rest| rest.starts_with(&closing));
    Some((end + closing.len()).min(chars.len()))
}

fn quoted_end(chars: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// For each line of `code` (blanked out), whether it belongs to an item under `#[cfg(test)]`.
pub(super) fn test_lines(code: &str) -> Vec<bool> {
    let lines: Vec<&str> = code.lines().collect();
    let mut is_test = vec![false; lines.len()];
    let mut at = 0;
    while at < lines.len() {
        if lines[at].trim() == "#[cfg(test)]" {
            let end = item_end(&lines, at + 1);
            is_test[at..end].fill(true);
            at = end;
        } else {
            at += 1;
        }
    }
    is_test
}

/// The line after the item that starts at `start`: past its closing brace, or its semicolon.
fn item_end(lines: &[&str], start: usize) -> usize {
    let mut depth = 0usize;
    for (i, line) in lines.iter().enumerate().skip(start) {
        for c in line.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && matches!(c, '}' | ';') {
                return i + 1;
            }
        }
    }
    lines.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_become_blank_and_lines_stay() {
        let source =
            "let a = \"un//safe \\\" x\"; // unsafe\n/* a /* b */\nunsafe */ let b = 'x';\n";
        let code = blank_out(source);
        assert_eq!(code.lines().count(), 3);
        assert!(!code.contains("unsafe") && code.contains("let b ="), "{code}");
    }

    #[test]
    fn raw_strings_and_lifetimes_are_told_apart() {
        let code =
            blank_out("fn f<'a>(x: &'a str) { br#\"unsafe \" \"#; '\\''; '\"'; keep(r#type) }");
        assert!(code.contains("keep(r#type)") && !code.contains("unsafe"), "{code}");
    }

    #[test]
    fn test_items_are_found_to_their_last_line() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod more;\nfn d() {}\n";
        assert_eq!(test_lines(code), [false, true, true, true, true, false, true, true, false]);
    }
}
