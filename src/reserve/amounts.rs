//! What is counted, and how much of it.

/// What is counted.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// Requests.
    Requests,
    /// Tokens of input and output together.
    Tokens,
    /// Tokens of input.
    InputTokens,
    /// Tokens of output.
    OutputTokens,
    /// Money, in millionths of a millionth of a US dollar.
    PicoUsd,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Requests,
        Self::Tokens,
        Self::InputTokens,
        Self::OutputTokens,
        Self::PicoUsd,
    ];

    /// Its name in configuration and messages: lower case, with underscores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::PicoUsd => "pico_usd",
        }
    }
}

/// So much of each dimension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    requests: u64,
    tokens: u64,
    input_tokens: u64,
    output_tokens: u64,
    pico_usd: u64,
}

impl Amounts {
    /// Nothing of any.
    pub const NONE: Self = Self {
        requests: 0,
        tokens: 0,
        input_tokens: 0,
        output_tokens: 0,
        pico_usd: 0,
    };

    /// One request.
    pub fn request() -> Self {
        Self::NONE.with(Dimension::Requests, 1)
    }

    /// The same, with `amount` of `dimension`.
    #[must_use]
    pub fn with(mut self, dimension: Dimension, amount: u64) -> Self {
        *match dimension {
            Dimension::Requests => &mut self.requests,
            Dimension::Tokens => &mut self.tokens,
            Dimension::InputTokens => &mut self.input_tokens,
            Dimension::OutputTokens => &mut self.output_tokens,
            Dimension::PicoUsd => &mut self.pico_usd,
        } = amount;
        self
    }

    /// The same, with so many tokens of input and of output, and their sum.
    #[must_use]
    pub fn with_tokens(self, input: u64, output: u64) -> Self {
        self.with(Dimension::Tokens, input.saturating_add(output))
            .with(Dimension::InputTokens, input)
            .with(Dimension::OutputTokens, output)
    }

    /// How much of `dimension`.
    pub fn get(&self, dimension: Dimension) -> u64 {
        match dimension {
            Dimension::Requests => self.requests,
            Dimension::Tokens => self.tokens,
            Dimension::InputTokens => self.input_tokens,
            Dimension::OutputTokens => self.output_tokens,
            Dimension::PicoUsd => self.pico_usd,
        }
    }
}
