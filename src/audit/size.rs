//! How large a prompt is, in five sizes.

/// The sizes of prompts that a report tells apart, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Size {
    UpTo500,
    UpTo2k,
    UpTo8k,
    UpTo32k,
    Larger,
}

impl Size {
    pub(super) fn of(tokens: u64) -> Self {
        match tokens {
            0..=500 => Self::UpTo500,
            501..=2_000 => Self::UpTo2k,
            2_001..=8_000 => Self::UpTo8k,
            8_001..=32_000 => Self::UpTo32k,
            _ => Self::Larger,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::UpTo500 => "up to 500 tokens",
            Self::UpTo2k => "up to 2,000 tokens",
            Self::UpTo8k => "up to 8,000 tokens",
            Self::UpTo32k => "up to 32,000 tokens",
            Self::Larger => "more than 32,000 tokens",
        }
    }
}
