//! The many spellings of a model's name.

/// Longer names are looked up as they are written, or not found.
pub(super) const MAX_LEN: usize = 192;

/// A name in the spelling by which names are compared: lower case, and a dash for a dot between digits. As long as the
/// name, and on the stack.
pub(super) struct Folded {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl Folded {
    /// `None` when the parts are too long together.
    pub(super) fn new(parts: &[&str]) -> Option<Self> {
        let mut folded = Self {
            bytes: [0; MAX_LEN],
            len: 0,
        };
        for part in parts {
            let end = folded.len + part.len();
            folded
                .bytes
                .get_mut(folded.len..end)?
                .copy_from_slice(part.as_bytes());
            folded.len = end;
        }
        let name = folded.bytes.get_mut(..folded.len)?;
        name.make_ascii_lowercase();
        let mut before = 0u8;
        for at in 0..name.len() {
            let [byte, after] = [at, at + 1].map(|at| name.get(at).copied().unwrap_or_default());
            if byte == b'.' && before.is_ascii_digit() && after.is_ascii_digit() {
                *name.get_mut(at)? = b'-';
            }
            before = byte;
        }
        Some(folded)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Whether two names that fold alike are spellings of one: `v3.2` and `v3-2` are, `3.1-8b` and `3-1.8b` are not, since each
/// has a dot where the other has a dash.
pub(super) fn is_same_spelling<'a>(one: impl Iterator<Item = &'a u8>, other: &[u8]) -> bool {
    let (mut dots, mut dashes) = (false, false);
    for (one, other) in one.zip(other) {
        match (one, other) {
            (b'.', b'-') => dots = true,
            (b'-', b'.') => dashes = true,
            _ => {}
        }
    }
    !(dots && dashes)
}

/// `name` without the date of a snapshot, or without `latest`: `gpt-4.1-2025-04-14`, `claude-sonnet-4-5-20250929`,
/// `claude-sonnet-4-5@20250929`, `gpt-5-latest`.
pub(super) fn without_date(name: &str) -> Option<&str> {
    if let Some(base) = name
        .strip_suffix("-latest")
        .or_else(|| name.strip_suffix("@latest"))
    {
        return Some(base).filter(|base| !base.is_empty());
    }
    [(8, "-@"), (10, "-")]
        .into_iter()
        .find_map(|(len, separators)| {
            let (base, date) = name.split_at_checked(name.len().checked_sub(len)?)?;
            let stem = base.strip_suffix(|last| separators.contains(last))?;
            (is_date(date) && !stem.is_empty()).then_some(stem)
        })
}

/// `20250929` or `2025-09-29`, in this century.
fn is_date(text: &str) -> bool {
    let (year, month, day) = if text.len() == 8 {
        (text.get(..4), text.get(4..6), text.get(6..))
    } else {
        let mut parts = text.splitn(3, '-');
        (parts.next(), parts.next(), parts.next())
    };
    let number = |text: Option<&str>, len| {
        let text = text
            .filter(|text| text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit()))?;
        text.parse::<u16>().ok()
    };
    number(year, 4).is_some_and(|year| (2000..2100).contains(&year))
        && number(month, 2).is_some_and(|month| (1..=12).contains(&month))
        && number(day, 2).is_some_and(|day| (1..=31).contains(&day))
}

/// A provider that makes models, as price lists call it; how others spell it before a slash; how its models' names begin.
struct Maker {
    label: &'static str,
    spellings: &'static [&'static str],
    families: &'static [&'static str],
}

const MAKERS: &[Maker] = &[
    maker("anthropic", &[], &["claude"]),
    maker(
        "cohere",
        &["cohere_chat"],
        &["command", "c4ai", "embed-", "rerank-"],
    ),
    maker("dashscope", &["qwen", "alibaba"], &["qwen", "qwq", "qvq"]),
    maker("deepseek", &["deepseek-ai"], &["deepseek"]),
    maker("gemini", &["google"], &["gemini", "gemma"]),
    maker("meta", &["meta-llama"], &["llama", "muse"]),
    maker("minimax", &["minimaxai"], &["minimax"]),
    maker(
        "mistral",
        &["mistralai"],
        &[
            "mistral",
            "ministral",
            "codestral",
            "devstral",
            "magistral",
            "pixtral",
            "voxtral",
            "open-mi",
        ],
    ),
    maker("moonshot", &["moonshotai"], &["kimi", "moonshot"]),
    maker(
        "openai",
        &[],
        &["gpt", "o1", "o3", "o4", "text-embedding", "codex"],
    ),
    maker("perplexity", &[], &["sonar"]),
    maker("xai", &["x-ai"], &["grok"]),
    maker("zai", &["z-ai", "zai-org", "zhipuai"], &["glm"]),
];

const fn maker(
    label: &'static str,
    spellings: &'static [&'static str],
    families: &'static [&'static str],
) -> Maker {
    Maker {
        label,
        spellings,
        families,
    }
}

/// The usual label of a provider: `gemini` for `google`, `xai` for `x-ai`; what is not known stays as it is.
pub(super) fn provider_label(provider: &str) -> &str {
    let is = |spelling: &&'static str| provider.eq_ignore_ascii_case(spelling);
    let maker = MAKERS
        .iter()
        .find(|maker| is(&maker.label) || maker.spellings.iter().any(is));
    maker.map_or(provider, |maker| maker.label)
}

/// The name by which everyone means the model `id` of its own maker: `gemini-2.5-flash` for `gemini/gemini-2.5-flash`. None
/// for a model that someone else hosts, whose prices are others.
pub(super) fn makers_bare_name(id: &str) -> Option<&str> {
    let (prefix, rest) = id.split_once('/')?;
    let label = provider_label(prefix);
    let maker = MAKERS.iter().find(|maker| maker.label == label)?;
    let begins = |family: &&str| {
        rest.split_at_checked(family.len())
            .is_some_and(|(head, _)| head.eq_ignore_ascii_case(family))
    };
    (!rest.contains('/') && maker.families.iter().any(begins)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(name: &str) -> String {
        String::from_utf8(Folded::new(&[name]).unwrap().as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_dot_between_digits_is_a_dash() {
        for (name, folded) in [
            ("DeepSeek-V3.2", "deepseek-v3-2"),
            ("deepseek.v3.2", "deepseek.v3-2"),
            ("1.2.3", "1-2-3"),
            (".5.", ".5."),
            ("gpt-4.", "gpt-4."),
            ("é.1", "é.1"),
        ] {
            assert_eq!(fold(name), folded);
        }
        assert!(Folded::new(&["a", &"b".repeat(MAX_LEN)]).is_none());
        assert!(Folded::new(&[&"b".repeat(MAX_LEN)]).is_some());
    }

    #[test]
    fn only_whole_dates_are_dates() {
        for (name, base) in [
            ("gpt-4.1-2025-04-14", Some("gpt-4.1")),
            ("claude-sonnet-4-5-20250929", Some("claude-sonnet-4-5")),
            ("claude-sonnet-4-5@20250929", Some("claude-sonnet-4-5")),
            ("gpt-5-chat-latest", Some("gpt-5-chat")),
            ("gpt-4-0613", None),
            ("gpt-4-20251301", None),
            ("gpt-4-2025-13-01", None),
            ("gpt-4-2025-1-001", None),
            ("gpt-4-20250132", None),
            ("gpt-4-18990101", None),
            ("gpt-420250101", None),
            ("gpt-4@2025-01-01", None),
            ("-20250101", None),
            ("-latest", None),
            ("20250101", None),
            ("ééééé-20250101é", None),
            ("", None),
        ] {
            assert_eq!(without_date(name), base, "{name}");
        }
    }

    #[test]
    fn a_bare_name_means_its_makers_model_only() {
        for (id, bare) in [
            ("gemini/gemini-2.5-flash", Some("gemini-2.5-flash")),
            ("xai/grok-4.3", Some("grok-4.3")),
            ("minimax/MiniMax-M3", Some("MiniMax-M3")),
            ("dashscope/deepseek-v3.2", None),
            ("groq/openai/gpt-oss-120b", None),
            ("perplexity/openai/gpt-5", None),
            ("azure/gpt-4.1", None),
            ("gpt-4.1", None),
        ] {
            assert_eq!(makers_bare_name(id), bare, "{id}");
        }
    }
}
