/// A member of a usage object, or of an object inside one, by what it means.
#[derive(Clone, Copy)]
pub(super) enum Key {
    InputWithCache,
    Input,
    Output,
    Total,
    CacheRead,
    CacheReadBeside,
    CacheWrite,
    CacheWriteBeside,
    CacheCreation,
    CacheDetails,
    Write5m,
    Write1h,
    Write24h,
    Reasoning,
    ReasoningBeside,
    Audio,
    AudioIn,
    AudioSeconds,
    ToolInput,
    Image,
    Citations,
    InputDetails,
    OutputDetails,
    CachedDetails,
    Billed,
    Tokens,
    TokenCount,
    Modality,
    Ttl,
    Tier,
    /// OpenRouter's and Perplexity's, xAI's.
    Cost,
    Other,
}

impl Key {
    /// What the member with this name means.
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"prompt_tokens" | b"promptTokenCount" | b"prompt_token_count" => Self::InputWithCache,
            b"input_tokens"
            | b"inputTokens"
            | b"inputTokenCount"
            | b"input_token_count"
            | b"total_input_tokens" => Self::Input,
            b"completion_tokens"
            | b"output_tokens"
            | b"outputTokens"
            | b"outputTokenCount"
            | b"output_token_count"
            | b"candidatesTokenCount"
            | b"candidates_token_count"
            | b"responseTokenCount"
            | b"total_output_tokens"
            | b"generated_tokens"
            | b"response_tokens" => Self::Output,
            b"total_tokens" | b"totalTokens" | b"totalTokenCount" | b"total_token_count" => {
                Self::Total
            }
            b"cached_tokens"
            | b"num_cached_tokens"
            | b"prompt_cache_hit_tokens"
            | b"cachedContentTokenCount"
            | b"cached_content_token_count"
            | b"total_cached_tokens" => Self::CacheRead,
            b"cache_read_input_tokens" | b"cacheReadInputTokens" | b"cacheReadInputTokenCount" => {
                Self::CacheReadBeside
            }
            b"cache_write_tokens" => Self::CacheWrite,
            b"cache_creation_input_tokens"
            | b"cacheWriteInputTokens"
            | b"cacheWriteInputTokenCount" => Self::CacheWriteBeside,
            b"cache_creation" => Self::CacheCreation,
            b"cacheDetails" => Self::CacheDetails,
            b"ephemeral_5m_input_tokens" => Self::Write5m,
            b"ephemeral_1h_input_tokens" => Self::Write1h,
            b"ephemeral_24h_input_tokens" => Self::Write24h,
            b"reasoning_tokens" | b"thinking_tokens" => Self::Reasoning,
            b"thoughtsTokenCount" | b"thoughts_token_count" | b"total_thought_tokens" => {
                Self::ReasoningBeside
            }
            b"audio_tokens" => Self::Audio,
            b"audio_prompt_tokens" => Self::AudioIn,
            b"prompt_audio_seconds" => Self::AudioSeconds,
            b"toolUsePromptTokenCount"
            | b"tool_use_prompt_token_count"
            | b"total_tool_use_tokens" => Self::ToolInput,
            b"image_tokens" => Self::Image,
            b"citation_tokens" => Self::Citations,
            b"prompt_tokens_details"
            | b"prompt_token_details"
            | b"input_tokens_details"
            | b"input_token_details"
            | b"promptTokensDetails"
            | b"input_tokens_by_modality" => Self::InputDetails,
            b"completion_tokens_details"
            | b"completion_token_details"
            | b"output_tokens_details"
            | b"output_token_details"
            | b"candidatesTokensDetails"
            | b"candidates_tokens_details"
            | b"responseTokensDetails"
            | b"output_tokens_by_modality" => Self::OutputDetails,
            b"cached_tokens_details"
            | b"cacheTokensDetails"
            | b"cache_tokens_details"
            | b"cached_tokens_by_modality" => Self::CachedDetails,
            b"billed_units" => Self::Billed,
            b"tokens" => Self::Tokens,
            b"tokenCount" | b"token_count" => Self::TokenCount,
            b"modality" => Self::Modality,
            b"ttl" => Self::Ttl,
            b"service_tier" | b"serviceTier" | b"trafficType" => Self::Tier,
            b"cost" | b"cost_in_usd_ticks" => Self::Cost,
            _ => Self::Other,
        }
    }
}
