//! What the documented file says of each option.

/// The file that documents every option.
const FILE: &str = include_str!("../../../examples/gateway.toml");

/// What is said of each option and table, by its path.
pub(super) fn texts() -> Vec<(Vec<String>, String)> {
    let mut texts = Vec::new();
    let mut table: Vec<String> = Vec::new();
    let mut said: Vec<&str> = Vec::new();
    for line in FILE.lines() {
        let (is_comment, text) = match line.strip_prefix('#') {
            Some(text) => (true, text.strip_prefix(' ').unwrap_or(text)),
            None => (false, line),
        };
        let path = if let Some(name) = header(text) {
            table = name;
            Some(table.clone())
        } else {
            option(text).map(|name| {
                let name = [name.to_owned()];
                table.iter().cloned().chain(name).collect()
            })
        };
        match path {
            Some(path) => {
                let text = said.join(" ");
                said.clear();
                if !text.is_empty() {
                    texts.push((path, text));
                }
            }
            None if is_comment => said.push(text.trim()),
            None => said.clear(),
        }
    }
    texts
}

/// The path of a table's header.
fn header(text: &str) -> Option<Vec<String>> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let inner = inner.strip_prefix('[').unwrap_or(inner);
    let inner = inner.strip_suffix(']').unwrap_or(inner);
    let mut path = Vec::new();
    let mut rest = inner;
    while !rest.is_empty() {
        let (name, more) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => match rest.find('.') {
                Some(dot) => rest.split_at_checked(dot)?,
                None => (rest, ""),
            },
        };
        path.push(name.to_owned());
        rest = more.strip_prefix('.').unwrap_or(more);
    }
    Some(path)
}

/// The name of an option, where a line sets one.
fn option(text: &str) -> Option<&str> {
    let (name, _) = text.split_once(" = ")?;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_found_with_what_is_said_of_it() {
        let texts = texts();
        let of = |path: &str| {
            let found = texts.iter().find(|(of, _)| of.join("/") == path);
            found.map(|(_, text)| text.as_str())
        };
        assert!(of("server/idle_timeout").unwrap().starts_with("How long"));
        assert!(of("server/cors/max_age").is_some());
        assert!(of("upstreams/circuit_breaker/open_for").is_some());
        assert!(of("upstreams").is_some());
        assert_eq!(header("[a.\"b.c\".d]").unwrap(), ["a", "b.c", "d"]);
        assert_eq!(header("[[a]]").unwrap(), ["a"]);
    }
}
