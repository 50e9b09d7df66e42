use proptest::prelude::*;

use super::*;

/// 2025-10-07T13:56:00Z, in seconds since the Unix epoch.
const NOW: u64 = 1_759_845_360;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn header_map(headers: &[(&'static str, &str)]) -> HeaderMap {
    headers
        .iter()
        .map(|&(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
        .collect()
}

fn millis_of(status: u16, headers: &[(&'static str, &str)]) -> Option<u128> {
    let status = StatusCode::from_u16(status).unwrap();
    from_headers(status, &header_map(headers), now()).map(|wait| wait.as_millis())
}

#[test]
fn every_form_that_providers_send_is_read() {
    type Row<'a> = (&'a str, &'a [(&'static str, &'a str)], u128);
    let table: &[Row<'_>] = &[
        ("seconds", &[("retry-after", "39")], 39_000),
        ("float seconds", &[("retry-after", " 1.25 ")], 1_250),
        (
            "HTTP date",
            &[("retry-after", "Tue, 07 Oct 2025 13:56:30 GMT")],
            30_000,
        ),
        ("Azure: milliseconds", &[("retry-after-ms", "86.5")], 86),
        (
            "OpenAI: milliseconds before seconds",
            &[("retry-after", "2"), ("retry-after-ms", "1500")],
            1_500,
        ),
        (
            "retry-after before a window",
            &[
                ("retry-after", "2"),
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "6m0s"),
            ],
            2_000,
        ),
        (
            "OpenAI: requests",
            &[
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "6m0s"),
            ],
            360_000,
        ),
        (
            "OpenAI: tokens",
            &[
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "12.967s"),
            ],
            12_967,
        ),
        (
            "OpenAI: project tokens",
            &[
                ("x-ratelimit-remaining-project-tokens", "0"),
                ("x-ratelimit-reset-project-tokens", "120ms"),
            ],
            120,
        ),
        (
            "OpenAI: images",
            &[
                ("x-ratelimit-remaining-input-images", "0"),
                ("x-ratelimit-reset-input-images", "1ms"),
            ],
            1,
        ),
        (
            "Azure: plain integer",
            &[
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "1"),
            ],
            1_000,
        ),
        (
            "Azure: zero",
            &[
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "0"),
            ],
            0,
        ),
        (
            "Groq: requests a day",
            &[
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "1h27m50.4s"),
            ],
            5_270_400,
        ),
        (
            "Groq: tokens a minute",
            &[
                ("x-ratelimit-remaining-requests", "939"),
                ("x-ratelimit-reset-requests", "1h27m50.4s"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "10.332999999s"),
            ],
            10_332,
        ),
        (
            "Anthropic",
            &[
                ("anthropic-ratelimit-input-tokens-remaining", "0"),
                (
                    "anthropic-ratelimit-input-tokens-reset",
                    "2025-10-07T13:56:08Z",
                ),
            ],
            8_000,
        ),
        (
            "Cerebras",
            &[
                ("x-ratelimit-remaining-tokens-minute", "0"),
                ("x-ratelimit-reset-tokens-minute", "23.755197525024414"),
            ],
            23_755,
        ),
        (
            "OpenRouter: epoch milliseconds",
            &[
                ("x-ratelimit-limit", "20"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1759845420000"),
            ],
            60_000,
        ),
        (
            "epoch seconds",
            &[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1759845420"),
            ],
            60_000,
        ),
        (
            "Together",
            &[
                ("x-ratelimit-limit", "2"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1"),
            ],
            1_000,
        ),
        (
            "Replicate",
            &[("ratelimit-remaining", "0"), ("ratelimit-reset", "7")],
            7_000,
        ),
        (
            "Hugging Face: IETF draft",
            &[
                ("ratelimit", "\"api\";r=0;t=295"),
                ("ratelimit-policy", "\"fixed window\";\"api\";q=1000;w=300"),
            ],
            295_000,
        ),
        (
            "IETF draft: several windows",
            &[("ratelimit", "\"day\";r=5;t=9000, \"minute\"; r=0; t=12")],
            12_000,
        ),
    ];
    for (name, headers, expected) in table {
        assert_eq!(millis_of(429, headers), Some(*expected), "{name}");
        assert_eq!(millis_of(503, headers), Some(*expected), "{name}");
        assert_eq!(millis_of(200, headers), None, "{name}");
    }
}

#[test]
fn a_window_with_room_asks_for_no_wait() {
    for remaining in ["1", "149999225", "0.5", "-1"] {
        let headers = [
            ("x-ratelimit-remaining-tokens", remaining),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ];
        assert_eq!(millis_of(429, &headers), None, "{remaining}");
    }
    assert_eq!(
        millis_of(429, &[("ratelimit", "\"api\";r=999;t=295")]),
        None
    );
    // xAI and Mistral say what remains and not until when.
    assert_eq!(
        millis_of(429, &[("x-ratelimit-remaining-requests", "0")]),
        None
    );
}

#[test]
fn of_several_exhausted_windows_the_longest_counts() {
    let headers = [
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "20s"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "6m0s"),
        ("x-ratelimit-remaining-project-tokens", "3"),
        ("x-ratelimit-reset-project-tokens", "24h"),
    ];
    assert_eq!(millis_of(429, &headers), Some(360_000));
}

#[test]
fn a_window_that_does_not_say_what_remains_counts_only_on_a_429_and_after_the_exhausted_ones() {
    let mut headers = vec![
        ("x-ratelimit-reset-requests", "24h"),
        ("x-ratelimit-reset-tokens", "5s"),
    ];
    assert_eq!(millis_of(429, &headers), Some(86_400_000));
    assert_eq!(millis_of(500, &headers), None);
    headers.push(("x-ratelimit-remaining-tokens", "0"));
    assert_eq!(millis_of(429, &headers), Some(5_000));
    assert_eq!(millis_of(500, &headers), Some(5_000));
    assert_eq!(millis_of(429, &[("ratelimit", "\"api\";t=3")]), Some(3_000));
}

#[test]
fn a_moment_that_has_passed_is_a_wait_of_zero() {
    for value in [
        "Tue, 07 Oct 2025 13:00:00 GMT",
        "2025-10-07T13:00:00Z",
        "1759845000",
        "1759845000000",
        "0",
    ] {
        assert_eq!(
            millis_of(429, &[("retry-after", value)]),
            Some(0),
            "{value}"
        );
    }
}

#[test]
fn garbage_is_as_if_absent_and_the_next_source_is_read() {
    for value in [
        "",
        "soon",
        "-5",
        "NaN",
        "inf",
        "-inf",
        "1e999",
        "0x10",
        "RETRY-AFTER-XXX",
        "2025-02-30T00:00:00Z",
    ] {
        assert_eq!(millis_of(429, &[("retry-after", value)]), None, "{value}");
        let headers = [
            ("retry-after", value),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1"),
        ];
        assert_eq!(millis_of(429, &headers), Some(1_000), "{value}");
    }
    for value in ["", "soon", "-5", "NaN", "inf", "1s"] {
        assert_eq!(
            millis_of(429, &[("retry-after-ms", value), ("retry-after", "3")]),
            Some(3_000),
            "{value}"
        );
    }
    let opaque = HeaderValue::from_bytes(b"\xff").unwrap();
    let headers = HeaderMap::from_iter([(RETRY_AFTER, opaque)]);
    assert_eq!(
        from_headers(StatusCode::TOO_MANY_REQUESTS, &headers, now()),
        None
    );
}

#[test]
fn an_absurd_wait_becomes_the_longest() {
    for headers in [
        ("retry-after", "900000000"),
        ("retry-after", "99999999h"),
        ("retry-after-ms", "1e300"),
        ("retry-after", "9999-12-31T23:59:59Z"),
        ("retry-after", "99999999999999999999999999"),
    ] {
        assert_eq!(
            millis_of(429, &[headers]),
            Some(LONGEST.as_millis()),
            "{headers:?}"
        );
    }
    assert_eq!(
        from_message("try again in 99999999999999999999 days"),
        Some(LONGEST)
    );
}

#[test]
fn every_hint_in_a_message_is_read() {
    for (message, millis) in [
        (
            "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000. Please try again in 41.724s. Visit ...",
            41_724,
        ),
        ("Please try again in 6m0s.", 360_000),
        ("Please try again in 20ms", 20),
        ("Please try again in 7m12.5s. Need more tokens?", 432_500),
        (
            "Quota exceeded for metric: ...\nPlease retry in 48.939935699s.",
            48_939,
        ),
        (
            "Please retry after 37 seconds. To increase your default rate limit visit: ...",
            37_000,
        ),
        ("Try again in 1 minute 30 seconds", 90_000),
        ("Retry after 1 second", 1_000),
        (
            r#"{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"48s"}"#,
            48_000,
        ),
        (r#"{"raw":"{\"retryDelay\": \"1.5s\"}"}"#, 1_500),
        ("Please retry in 48.9s. \"retryDelay\": \"48s\"", 48_900),
        ("try again in a moment, or try again in 2s", 2_000),
    ] {
        assert_eq!(
            from_message(message).map(|wait| wait.as_millis()),
            Some(millis),
            "{message}"
        );
    }
}

#[test]
fn a_message_without_a_wait_gives_none() {
    for message in [
        "",
        "retry in ",
        "Please retry shortly, or add your own key",
        "try again in a few seconds",
        "try again in 5 business days",
        "the geometry in 5s is not a retry",
        "retry after 2025-10-07T13:56:08Z",
        "etry in 5s",
    ] {
        assert_eq!(from_message(message), None, "{message}");
    }
}

#[test]
fn a_written_wait_is_rounded_up_and_replaces_what_was_there() {
    for (wait, seconds, millis) in [
        (Duration::ZERO, "0", "0"),
        (Duration::from_nanos(1), "1", "1"),
        (Duration::from_millis(999), "1", "999"),
        (Duration::from_secs(1), "1", "1000"),
        (Duration::new(1, 1), "2", "1001"),
        (
            Duration::MAX,
            "18446744073709551615",
            "18446744073709551615",
        ),
    ] {
        let mut headers = header_map(&[("retry-after", "7"), ("retry-after-ms", "7000")]);
        write(&mut headers, wait);
        assert_eq!(headers["retry-after"], seconds, "{wait:?}");
        assert_eq!(headers["retry-after-ms"], millis, "{wait:?}");
        assert_eq!(headers.len(), 2);
    }
}

proptest! {
    #[test]
    fn a_written_wait_reads_back_never_shorter(nanos in 0_u64..86_400_000_000_000) {
        let wait = Duration::from_nanos(nanos);
        let mut headers = HeaderMap::new();
        write(&mut headers, wait);
        let read = from_headers(StatusCode::TOO_MANY_REQUESTS, &headers, now()).unwrap();
        prop_assert!(read >= wait && read < wait + Duration::from_millis(1));
        headers.remove("retry-after-ms");
        let read = from_headers(StatusCode::TOO_MANY_REQUESTS, &headers, now()).unwrap();
        prop_assert!(read >= wait && read < wait + Duration::from_secs(1));
    }

    #[test]
    fn any_header_value_gives_none_or_a_bounded_wait(
        value in prop_oneof!["[ -~]{0,30}", "[0-9a-z:.,;=+ TZ\\-]{0,30}", "-?[0-9]{1,40}(\\.[0-9]{1,20})?(e[0-9]{1,4})?"],
        past in any::<u32>(),
    ) {
        for name in ["retry-after", "retry-after-ms", "x-ratelimit-reset", "anthropic-ratelimit-tokens-reset", "ratelimit"] {
            let headers = header_map(&[(name, &value)]);
            let now = UNIX_EPOCH + Duration::from_secs(past.into());
            let wait = from_headers(StatusCode::TOO_MANY_REQUESTS, &headers, now);
            prop_assert!(wait.is_none_or(|wait| wait <= LONGEST));
        }
    }

    #[test]
    fn any_message_gives_none_or_a_bounded_wait(before in ".{0,10}", after in "[0-9.smhd\" é]{0,12}") {
        let wait = from_message(&format!("{before}retry in {after}"));
        prop_assert!(wait.is_none_or(|wait| wait <= LONGEST));
    }
}
