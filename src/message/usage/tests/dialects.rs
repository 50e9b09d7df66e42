//! One table: what each provider's shape reads to.

use super::{Usage, counts, plain, read};

#[test]
fn every_dialect_reads_to_disjoint_counts() {
    let table: &[(&str, &str, Usage)] = &[
        (
            "OpenAI chat: cached inside the prompt, reasoning and audio inside the completion",
            r#"{"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
                "prompt_tokens_details":{"cached_tokens":40,"audio_tokens":10},
                "completion_tokens_details":{"reasoning_tokens":20,"audio_tokens":5,
                    "accepted_prediction_tokens":3,"rejected_prediction_tokens":2}}}"#,
            Usage {
                input: 50,
                cache_read: 40,
                audio_in: 10,
                output: 25,
                reasoning: 20,
                audio_out: 5,
                ..Usage::default()
            },
        ),
        (
            "OpenAI chat: cache writes inside the prompt",
            r#"{"usage":{"prompt_tokens":100,"completion_tokens":5,"total_tokens":105,
                "prompt_tokens_details":{"cached_tokens":30,"cache_write_tokens":60}}}"#,
            Usage {
                input: 10,
                cache_read: 30,
                cache_write_5m: 60,
                output: 5,
                ..Usage::default()
            },
        ),
        (
            "completions",
            r#"{"object":"text_completion","usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}"#,
            plain(5, 7),
        ),
        (
            "embeddings",
            r#"{"object":"list","data":[{"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#,
            plain(8, 0),
        ),
        (
            "embeddings and reranking with only a total (Voyage)",
            r#"{"object":"list","data":[],"usage":{"total_tokens":43}}"#,
            plain(43, 0),
        ),
        (
            "Responses",
            r#"{"object":"response","status":"completed","usage":{"input_tokens":90,"output_tokens":60,"total_tokens":150,
                "input_tokens_details":{"cached_tokens":64,"cache_write_tokens":6},
                "output_tokens_details":{"reasoning_tokens":50}}}"#,
            Usage {
                input: 20,
                cache_read: 64,
                cache_write_5m: 6,
                output: 10,
                reasoning: 50,
                ..Usage::default()
            },
        ),
        (
            "Realtime: the cached audio is in the cache and in the audio",
            r#"{"type":"response.done","response":{"usage":{"total_tokens":150,"input_tokens":100,"output_tokens":50,
                "input_token_details":{"text_tokens":40,"audio_tokens":60,"cached_tokens":48,
                    "cached_tokens_details":{"text_tokens":8,"audio_tokens":40}},
                "output_token_details":{"text_tokens":10,"audio_tokens":40}}}}"#,
            Usage {
                input: 32,
                cache_read: 48,
                audio_in: 20,
                output: 10,
                audio_out: 40,
                ..Usage::default()
            },
        ),
        (
            "Anthropic: cache beside the input, thinking inside the output",
            r#"{"type":"message","usage":{"input_tokens":4,"cache_creation_input_tokens":379,
                "cache_read_input_tokens":14714,"output_tokens":290,
                "cache_creation":{"ephemeral_5m_input_tokens":300,"ephemeral_1h_input_tokens":79},
                "output_tokens_details":{"thinking_tokens":19},
                "iterations":[{"input_tokens":900,"output_tokens":900}]}}"#,
            Usage {
                input: 4,
                cache_read: 14714,
                cache_write_5m: 300,
                cache_write_1h: 79,
                output: 271,
                reasoning: 19,
                ..Usage::default()
            },
        ),
        (
            "Gemini: cached inside the prompt, tools beside it, thoughts beside the candidates",
            r#"{"candidates":[{"content":{"parts":[{"text":"hi"}]},"tokenCount":99}],"usageMetadata":{
                "promptTokenCount":1000,"cachedContentTokenCount":600,"candidatesTokenCount":30,
                "thoughtsTokenCount":70,"toolUsePromptTokenCount":50,"totalTokenCount":1150}}"#,
            Usage {
                input: 450,
                cache_read: 600,
                output: 30,
                reasoning: 70,
                ..Usage::default()
            },
        ),
        (
            "Gemini: audio by modality, by name or by number",
            r#"{"usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":30,"candidatesTokenCount":40,"totalTokenCount":140,
                "promptTokensDetails":[{"modality":"TEXT","tokenCount":20},{"modality":"AUDIO","tokenCount":80}],
                "cacheTokensDetails":[{"modality":4,"tokenCount":30}],
                "candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":25},{"modality":1,"tokenCount":15}]}}"#,
            Usage {
                input: 20,
                cache_read: 30,
                audio_in: 50,
                output: 15,
                audio_out: 25,
                ..Usage::default()
            },
        ),
        (
            "Gemini interactions",
            r#"{"event_type":"interaction.completed","interaction":{"usage":{"total_input_tokens":53,
                "input_tokens_by_modality":[{"modality":"text","tokens":53}],"raw_prompt_token":4779,
                "total_cached_tokens":10,"total_output_tokens":269,"total_thought_tokens":279,
                "total_tool_use_tokens":0,"total_tokens":601}}}"#,
            Usage {
                input: 43,
                cache_read: 10,
                output: 269,
                reasoning: 279,
                ..Usage::default()
            },
        ),
        (
            "Cohere v2: what is billed, not what was processed",
            r#"{"message":{"role":"assistant","content":[]},"finish_reason":"COMPLETE","usage":{
                "billed_units":{"input_tokens":67,"output_tokens":66},
                "tokens":{"input_tokens":510,"output_tokens":99,"reasoning_tokens":29},"cached_tokens":144}}"#,
            Usage {
                input: 67,
                output: 37,
                reasoning: 29,
                ..Usage::default()
            },
        ),
        (
            "Cohere v2 without billed units: cached inside the input, images beside it",
            r#"{"usage":{"tokens":{"input_tokens":510,"image_tokens":50,"output_tokens":9},"cached_tokens":144}}"#,
            Usage {
                input: 416,
                cache_read: 144,
                output: 9,
                ..Usage::default()
            },
        ),
        (
            "Cohere v2, end of a stream",
            r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{
                "tokens":{"input_tokens":91,"output_tokens":11},"billed_units":{"input_tokens":25,"output_tokens":9}}}}"#,
            plain(25, 9),
        ),
        (
            "Cohere v1",
            r#"{"text":"hi","meta":{"api_version":{"version":"1"},"billed_units":{"input_tokens":9,"output_tokens":2}}}"#,
            plain(9, 2),
        ),
        (
            "Cohere v1, end of a stream",
            r#"{"is_finished":true,"event_type":"stream-end","response":{"meta":{
                "billed_units":{"input_tokens":7,"output_tokens":115},"tokens":{"input_tokens":69,"output_tokens":116}}}}"#,
            plain(7, 115),
        ),
        (
            "Ollama",
            r#"{"model":"m","message":{"content":""},"done":true,"prompt_eval_count":26,"eval_count":298,"eval_duration":5}"#,
            plain(26, 298),
        ),
        (
            "Ollama with the prompt cached",
            r#"{"model":"m","response":"","done":true,"eval_count":298}"#,
            plain(0, 298),
        ),
        (
            "Ollama embeddings",
            r#"{"model":"m","embeddings":[[0.5]],"prompt_eval_count":9}"#,
            plain(9, 0),
        ),
        (
            "Bedrock Converse: cache beside the input, in two spellings of one count",
            r#"{"output":{"message":{}},"stopReason":"end_turn","metrics":{"latencyMs":189},"usage":{"inputTokens":10,
                "outputTokens":4,"cacheReadInputTokens":20,"cacheReadInputTokenCount":20,
                "cacheWriteInputTokens":7351,"cacheWriteInputTokenCount":7351,"totalTokens":7385,
                "cacheDetails":[{"inputTokens":7000,"ttl":"5m"},{"inputTokens":351,"ttl":"1h"}]}}"#,
            Usage {
                input: 10,
                cache_read: 20,
                cache_write_5m: 7000,
                cache_write_1h: 351,
                output: 4,
                ..Usage::default()
            },
        ),
        (
            "Bedrock Converse, end of a stream, wrapped in its event name",
            r#"{"metadata":{"usage":{"inputTokens":100,"outputTokens":25,"totalTokens":125}}}"#,
            plain(100, 25),
        ),
        (
            "Bedrock invoke, Llama",
            r#"{"generation":"hi","prompt_token_count":5,"generation_token_count":10,"stop_reason":"stop"}"#,
            plain(5, 10),
        ),
        (
            "Bedrock invoke, Titan, in floats",
            r#"{"inputTextTokenCount":28.0,"results":[{"tokenCount":197.0,"outputText":"hi"},{"tokenCount":3.0}]}"#,
            plain(28, 200),
        ),
        (
            "Bedrock invoke, Nova",
            r#"{"usage":{"inputTokens":7,"outputTokens":53,"totalTokens":60,"cacheReadInputTokenCount":0,
                "cacheWriteInputTokenCount":0}}"#,
            plain(7, 53),
        ),
        (
            "Bedrock invoke, end of a stream",
            r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":14,"outputTokenCount":6,
                "invocationLatency":800}}"#,
            plain(14, 6),
        ),
        (
            "TGI",
            r#"{"generated_text":"hi","details":{"finish_reason":"eos_token","generated_tokens":17,"input_length":4}}"#,
            plain(4, 17),
        ),
        (
            "Replicate",
            r#"{"status":"succeeded","metrics":{"input_token_count":9,"output_token_count":80,"predict_time":1.5}}"#,
            plain(9, 80),
        ),
        (
            "Cloudflare",
            r#"{"result":{"response":"hi","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}},"success":true}"#,
            plain(3, 4),
        ),
    ];
    for (what, json, expected) in table {
        let usage = read(json).unwrap_or_else(|| panic!("{what}: nothing read"));
        assert_eq!(counts(usage), counts(*expected), "{what}");
    }
}

#[test]
fn counting_tokens_uses_none() {
    for json in [
        r#"{"input_tokens":16}"#,
        r#"{"totalTokens":31,"promptTokensDetails":[{"modality":"TEXT","tokenCount":31}]}"#,
        r#"{"object":"response.input_tokens","input_tokens":11}"#,
    ] {
        assert_eq!(read(json), None, "{json}");
    }
}
