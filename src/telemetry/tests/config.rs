use super::super::TelemetryBuilder;

fn built(toml: &str) -> Result<String, String> {
    let builder: TelemetryBuilder = toml::from_str(toml).map_err(|e| e.message().to_owned())?;
    let shown = format!("{builder:?}");
    builder.build().map_err(|error| error.to_string())?;
    Ok(shown)
}

#[test]
fn what_cannot_be_is_refused_by_its_name() {
    for (toml, part) in [
        ("span = true", "unknown field `span`"),
        ("max_content = 0", "max_content"),
        ("max_content = \"1MiB\"", "max_content"),
        ("models = [\"\"]", "models"),
        ("providers.azure = \"\"", "providers"),
        ("recorder = 1", "unknown field"),
    ] {
        let error = built(toml).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    let shown =
        built("contents = true\nmax_content = \"8KiB\"\nproviders.azure = \"azure.ai.openai\"");
    assert!(shown.unwrap().contains("max_content: 8192"));
}
