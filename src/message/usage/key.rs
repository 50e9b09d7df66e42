use serde::Deserialize;

/// A member of a usage object, or of an object inside one, by what it means.
#[derive(Deserialize, Clone, Copy)]
#[serde(field_identifier)]
pub(super) enum Key {
    #[serde(
        rename = "prompt_tokens",
        alias = "promptTokenCount",
        alias = "prompt_token_count"
    )]
    InputWithCache,
    #[serde(
        rename = "input_tokens",
        alias = "inputTokens",
        alias = "inputTokenCount",
        alias = "input_token_count",
        alias = "total_input_tokens"
    )]
    Input,
    #[serde(
        rename = "completion_tokens",
        alias = "output_tokens",
        alias = "outputTokens",
        alias = "outputTokenCount",
        alias = "output_token_count",
        alias = "candidatesTokenCount",
        alias = "candidates_token_count",
        alias = "responseTokenCount",
        alias = "total_output_tokens",
        alias = "generated_tokens",
        alias = "response_tokens"
    )]
    Output,
    #[serde(
        rename = "total_tokens",
        alias = "totalTokens",
        alias = "totalTokenCount",
        alias = "total_token_count"
    )]
    Total,
    #[serde(
        rename = "cached_tokens",
        alias = "num_cached_tokens",
        alias = "prompt_cache_hit_tokens",
        alias = "cachedContentTokenCount",
        alias = "cached_content_token_count",
        alias = "total_cached_tokens"
    )]
    CacheRead,
    #[serde(
        rename = "cache_read_input_tokens",
        alias = "cacheReadInputTokens",
        alias = "cacheReadInputTokenCount"
    )]
    CacheReadBeside,
    #[serde(rename = "cache_write_tokens")]
    CacheWrite,
    #[serde(
        rename = "cache_creation_input_tokens",
        alias = "cacheWriteInputTokens",
        alias = "cacheWriteInputTokenCount"
    )]
    CacheWriteBeside,
    #[serde(rename = "cache_creation")]
    CacheCreation,
    #[serde(rename = "cacheDetails")]
    CacheDetails,
    #[serde(rename = "ephemeral_5m_input_tokens")]
    Write5m,
    #[serde(rename = "ephemeral_1h_input_tokens")]
    Write1h,
    #[serde(rename = "ephemeral_24h_input_tokens")]
    Write24h,
    #[serde(rename = "reasoning_tokens", alias = "thinking_tokens")]
    Reasoning,
    #[serde(
        rename = "thoughtsTokenCount",
        alias = "thoughts_token_count",
        alias = "total_thought_tokens"
    )]
    ReasoningBeside,
    #[serde(rename = "audio_tokens")]
    Audio,
    #[serde(rename = "audio_prompt_tokens")]
    AudioIn,
    #[serde(rename = "prompt_audio_seconds")]
    AudioSeconds,
    #[serde(
        rename = "toolUsePromptTokenCount",
        alias = "tool_use_prompt_token_count",
        alias = "total_tool_use_tokens"
    )]
    ToolInput,
    #[serde(rename = "image_tokens")]
    Image,
    #[serde(rename = "citation_tokens")]
    Citations,
    #[serde(
        rename = "prompt_tokens_details",
        alias = "prompt_token_details",
        alias = "input_tokens_details",
        alias = "input_token_details",
        alias = "promptTokensDetails",
        alias = "input_tokens_by_modality"
    )]
    InputDetails,
    #[serde(
        rename = "completion_tokens_details",
        alias = "completion_token_details",
        alias = "output_tokens_details",
        alias = "output_token_details",
        alias = "candidatesTokensDetails",
        alias = "candidates_tokens_details",
        alias = "responseTokensDetails",
        alias = "output_tokens_by_modality"
    )]
    OutputDetails,
    #[serde(
        rename = "cached_tokens_details",
        alias = "cacheTokensDetails",
        alias = "cache_tokens_details",
        alias = "cached_tokens_by_modality"
    )]
    CachedDetails,
    #[serde(rename = "billed_units")]
    Billed,
    #[serde(rename = "tokens")]
    Tokens,
    #[serde(rename = "tokenCount", alias = "token_count")]
    TokenCount,
    #[serde(rename = "modality")]
    Modality,
    #[serde(rename = "ttl")]
    Ttl,
    #[serde(rename = "service_tier", alias = "serviceTier", alias = "trafficType")]
    Tier,
    #[serde(other)]
    Other,
}
