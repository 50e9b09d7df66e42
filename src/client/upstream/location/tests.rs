use super::*;

fn uri(location: &Location, path: &str, body: &'static str) -> String {
    let request = Request::post(path).body(RequestBody::json(body)).unwrap();
    location.uri(&request).unwrap().to_string()
}

#[test]
fn a_base_url_is_what_providers_document() {
    for (base, expected) in [
        (
            "https://api.openai.com",
            "https://api.openai.com/v1/chat/completions",
        ),
        (
            "https://api.openai.com/v1",
            "https://api.openai.com/v1/chat/completions",
        ),
        (
            "https://api.openai.com/v1/",
            "https://api.openai.com/v1/chat/completions",
        ),
        (
            "https://api.groq.com/openai",
            "https://api.groq.com/openai/v1/chat/completions",
        ),
        (
            "https://api.groq.com/openai/v1",
            "https://api.groq.com/openai/v1/chat/completions",
        ),
        (
            "https://g.com/v1beta/openai/",
            "https://g.com/v1beta/openai/chat/completions",
        ),
        (
            "https://open.bigmodel.cn/api/paas/v4",
            "https://open.bigmodel.cn/api/paas/v4/chat/completions",
        ),
        (
            "http://127.0.0.1:11434",
            "http://127.0.0.1:11434/v1/chat/completions",
        ),
    ] {
        assert_eq!(
            uri(&Location::base(base).unwrap(), "/v1/chat/completions", "{}"),
            expected
        );
    }
}

#[test]
fn the_host_header_names_the_port_unless_it_is_the_schemes_own() {
    for (base, host) in [
        ("https://api.com", "api.com"),
        ("https://api.com:443/v1", "api.com"),
        ("https://api.com:80", "api.com:80"),
        ("http://127.0.0.1:11434", "127.0.0.1:11434"),
        ("http://[::1]:80", "[::1]"),
    ] {
        assert_eq!(Location::base(base).unwrap().host(), host, "{base}");
    }
}

#[test]
fn a_template_takes_the_model_and_the_rest_of_the_path() {
    let azure = Location::template(
        "https://me.openai.azure.com/openai/deployments/{model}/{path}?api-version=1",
    )
    .unwrap();
    assert_eq!(
        uri(
            &azure,
            "/v1/chat/completions?x=1",
            r#"{"model":"my gpt/4.1"}"#
        ),
        "https://me.openai.azure.com/openai/deployments/my%20gpt%2F4.1/chat/completions?api-version=1&x=1",
    );
    let perplexity = Location::template("https://api.perplexity.ai/{path}").unwrap();
    assert_eq!(
        uri(&perplexity, "/v1/chat/completions", "{}"),
        "https://api.perplexity.ai/chat/completions"
    );
}

#[test]
fn a_template_without_its_model_is_the_callers_error() {
    let azure = Location::template("https://me.azure.com/{model}/{path}").unwrap();
    let request = Request::post("/v1/embeddings")
        .body(RequestBody::json("{}"))
        .unwrap();
    assert_eq!(azure.uri(&request).unwrap_err().param(), Some("model"));
}

#[test]
fn the_caller_cannot_leave_the_prefix_nor_choose_the_host() {
    let base = Location::base("https://api.com/tenant").unwrap();
    for path in [
        "/../admin",
        "/v1/../../admin",
        "/v1/%2e%2E/x",
        "/./x",
        "/v1/..",
        "/v1/..%2fadmin",
        "/v1/x%2F%2e.%2fadmin",
        "/v1/..%5Cadmin",
        "/v1/..;/admin",
        "/v1/..%3Bx=y/admin",
        "*",
    ] {
        let request = Request::post(path).body(RequestBody::empty()).unwrap();
        assert_eq!(
            base.uri(&request).unwrap_err().code(),
            Some("invalid_path"),
            "{path}"
        );
    }
    assert_eq!(
        uri(&base, "http://evil.com/v1/x", "{}"),
        "https://api.com/tenant/v1/x"
    );
    assert_eq!(
        uri(&base, "/v1/files/..hidden", "{}"),
        "https://api.com/tenant/v1/files/..hidden"
    );
}

#[test]
fn a_model_name_cannot_climb_either() {
    let location = Location::template("https://me.com/a/{model}/{path}").unwrap();
    assert_eq!(
        uri(&location, "/v1/chat/completions", r#"{"model":".."}"#),
        "https://me.com/a/%2E%2E/chat/completions"
    );
}

#[test]
fn keys_in_the_query_stay_here() {
    let base = Location::base("https://api.com").unwrap();
    assert_eq!(
        uri(&base, "/v1/x?key=secret&a=1&api_key=s", "{}"),
        "https://api.com/v1/x?a=1"
    );
    assert_eq!(uri(&base, "/v1/x?key=secret", "{}"), "https://api.com/v1/x");
}

#[test]
fn what_cannot_work_is_said_at_once() {
    for (url, reason) in [
        (
            "api.openai.com",
            "must begin with http:// or https:// and a host",
        ),
        (
            "ftp://x.com",
            "must begin with http:// or https:// and a host",
        ),
        ("https://u:p@x.com", "must not hold a user name or password"),
        ("https://x.com/?a=1", "a query belongs into a template"),
    ] {
        assert_eq!(Location::base(url).unwrap_err().reason(), reason, "{url}");
    }
    for (template, reason) in [
        (
            "https://{model}.com/",
            "a placeholder may not choose the host",
        ),
        (
            "https://x.com/{region}",
            "unknown placeholder {region}: there are {model} and {path}",
        ),
        ("https://x.com/{model", "a \"{\" is never closed"),
    ] {
        assert_eq!(
            Location::template(template).unwrap_err().reason(),
            reason,
            "{template}"
        );
    }
}
