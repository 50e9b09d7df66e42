//! Whose API an upstream is.

/// OpenTelemetry's name for the provider whose API is at `host`, where it has one.
pub(super) fn of_host(host: &str) -> Option<&'static str> {
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let (_, name) = PROVIDERS
        .iter()
        .find(|(suffix, _)| is_within(host, suffix))?;
    Some(name)
}

/// Well-known values of `gen_ai.provider.name`, by the domains of their APIs.
const PROVIDERS: [(&str, &str); 15] = [
    ("openai.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.inference"),
    ("models.ai.azure.com", "azure.ai.inference"),
    ("openai.com", "openai"),
    ("anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("amazonaws.com", "aws.bedrock"),
    ("cohere.com", "cohere"),
    ("cohere.ai", "cohere"),
    ("deepseek.com", "deepseek"),
    ("groq.com", "groq"),
    ("mistral.ai", "mistral_ai"),
    ("perplexity.ai", "perplexity"),
    ("x.ai", "x_ai"),
];

fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.') || rest.ends_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_told_by_its_domain() {
        for (host, provider) in [
            ("api.openai.com", Some("openai")),
            ("me.openai.azure.com:443", Some("azure.ai.openai")),
            (
                "bedrock-runtime.us-east-1.amazonaws.com",
                Some("aws.bedrock"),
            ),
            (
                "europe-west4-aiplatform.googleapis.com",
                Some("gcp.vertex_ai"),
            ),
            ("api.x.ai", Some("x_ai")),
            ("phoenix.ai", None),
            ("notopenai.com", None),
            ("127.0.0.1:8080", None),
        ] {
            assert_eq!(of_host(host), provider, "{host}");
        }
    }
}
