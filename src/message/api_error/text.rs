//! Text of others, cut to a length that can be held, logged and sent on.

/// The longest message that is kept, in bytes.
pub(super) const MAX_MESSAGE: usize = 4 << 10;
/// The longest type, code or param that is kept, in bytes.
pub(super) const MAX_WORD: usize = 256;
/// The longest detail that is kept, in bytes.
pub(super) const MAX_DETAIL: usize = 1 << 10;

/// `text` without the space around it, cut to at most `max` bytes at a character's boundary. `None` when nothing is left.
pub(super) fn cut(text: &str, max: usize) -> Option<String> {
    let text = text.trim();
    if text.len() <= max {
        return (!text.is_empty()).then(|| text.to_owned());
    }
    let room = max.saturating_sub("…".len());
    let kept = (0..=room).rev().find_map(|end| text.get(..end))?;
    Some(kept.trim_end().to_owned() + "…")
}

/// What a body that is not JSON has to say: its text, or the title of a web page. `None` for one that is not text.
pub(super) fn words(body: &str) -> Option<String> {
    let body = body.trim();
    if body.starts_with('<') {
        return cut(title(body)?, MAX_WORD);
    }
    let is_text = !body.contains(|character: char| {
        character == char::REPLACEMENT_CHARACTER
            || (character.is_control() && !character.is_whitespace())
    });
    // JSON that could not be read is for machines.
    (is_text && !body.starts_with(['{', '[']))
        .then(|| cut(body, MAX_MESSAGE))
        .flatten()
}

fn title(page: &str) -> Option<&str> {
    let lower = page.to_ascii_lowercase();
    let open = lower.find("<title")?;
    let start = open + lower.get(open..)?.find('>')? + 1;
    let length = lower.get(start..)?.find('<')?;
    page.get(start..start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(cut("  ab  ", 2).as_deref(), Some("ab"));
        assert_eq!(cut("äöüß", 7).as_deref(), Some("äö…"));
        assert_eq!(cut(" \n ", 10), None);
    }

    #[test]
    fn a_web_page_says_its_title() {
        let page = "<!DOCTYPE html>\n<html><head><Title lang=en> 502 Bad Gateway </Title></head>";
        assert_eq!(words(page).as_deref(), Some("502 Bad Gateway"));
        for silent in [
            "<html><body>x</body>",
            "<title",
            "<title>x",
            "",
            "{\"a\":",
            "a\0b",
            "\u{fffd}",
        ] {
            assert_eq!(words(silent), None, "{silent}");
        }
    }
}
