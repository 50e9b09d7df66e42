use std::{
    future::pending,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use http::HeaderName;
use tokio_test::{assert_pending, task};

use super::*;
use crate::{
    client::Style,
    message::{Reason, Rejection},
    testing::{read, refusal},
};

#[tokio::test]
async fn each_style_has_its_header_and_marks_it_sensitive() {
    let token = Style::Header {
        name: HeaderName::from_static("x-token"),
        prefix: "Token ".into(),
    };
    for (style, name, value) in [
        (Style::Bearer, "authorization", "Bearer sk-1"),
        (Style::XApiKey, "x-api-key", "sk-1"),
        (Style::ApiKey, "api-key", "sk-1"),
        (token, "x-token", "Token sk-1"),
    ] {
        for credential in [
            Credential::key("  sk-1\n").unwrap(),
            Credential::per_request(|_| async { Ok("\tsk-1 ".to_owned()) }),
            Credential::caller(),
        ] {
            let layer = upstream(credential.style(style.clone())).build().unwrap();
            let parts = sent(&layer, chat().header("authorization", "bearer  sk-1")).await;
            assert_eq!(parts.headers[name], value);
            assert!(parts.headers[name].is_sensitive());
        }
    }
}

#[tokio::test]
async fn a_style_may_be_changed_twice() {
    let credential = Credential::key("sk-1")
        .unwrap()
        .style(Style::XApiKey)
        .style(Style::Bearer);
    assert_eq!(
        sent(&upstream(credential).build().unwrap(), chat())
            .await
            .headers["authorization"],
        "Bearer sk-1"
    );
}

#[tokio::test]
async fn a_callers_key_is_found_in_each_of_its_headers() {
    let layer = upstream(Credential::caller()).build().unwrap();
    for (name, value) in [
        ("authorization", "Bearer sk-1"),
        ("x-api-key", "sk-1"),
        ("api-key", "sk-1"),
    ] {
        assert_eq!(
            sent(&layer, chat().header(name, value)).await.headers["authorization"],
            "Bearer sk-1"
        );
    }
}

#[tokio::test]
async fn a_caller_without_a_key_is_told_so() {
    let layer = upstream(Credential::caller()).build().unwrap();
    for request in [
        chat(),
        chat().header("authorization", "Basic dXNlcg=="),
        chat().header("authorization", "Bearer "),
    ] {
        let response = answered(&layer, request, || panic!("was sent")).await;
        let rejection = *response.extensions().get::<Rejection>().unwrap();
        assert_eq!(
            (rejection.layer, rejection.reason),
            ("upstream", Reason::Unauthenticated)
        );
        assert_eq!(refusal(response).await, (401, "missing_api_key".to_owned()));
    }
}

#[tokio::test]
async fn a_key_of_each_request_may_depend_on_it() {
    let credential = Credential::per_request(|request| {
        let tenant = request.headers()["x-tenant"].to_str().unwrap().to_owned();
        async move {
            tokio::task::yield_now().await;
            Ok(format!("sk-{tenant}"))
        }
    });
    let layer = upstream(credential).build().unwrap();
    for tenant in ["a", "b"] {
        let parts = sent(&layer, chat().header("x-tenant", tenant)).await;
        assert_eq!(
            parts.headers["authorization"],
            format!("Bearer sk-{tenant}")
        );
    }
}

#[tokio::test]
async fn a_source_of_keys_that_fails_is_a_502_that_shows_nothing_of_it() {
    for credential in [
        Credential::per_request(|_| async { Err("vault said hush".into()) }),
        Credential::per_request(|_| async { Ok(String::new()) }),
        Credential::per_request(|_| async { Ok("hush\r\nx-injected: 1".to_owned()) }),
    ] {
        let response = answered(&upstream(credential).build().unwrap(), chat(), || {
            panic!("was sent")
        })
        .await;
        let (head, text) = read(response).await;
        assert_eq!(head.status, 502);
        assert!(
            text.contains("upstream_auth") && !text.contains("hush"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_request_dropped_while_its_key_is_sought_gives_up_the_search() {
    struct Search(Arc<AtomicUsize>);
    impl Drop for Search {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&dropped);
    let credential = Credential::per_request(move |_| {
        let search = Search(Arc::clone(&counter));
        async move {
            let _search = search;
            pending().await
        }
    });
    let layer = upstream(credential).build().unwrap();
    let mut call = task::spawn(answered(&layer, chat(), || panic!("was sent")));
    assert_pending!(call.poll());
    assert_eq!(dropped.load(SeqCst), 0);
    drop(call);
    assert_eq!(dropped.load(SeqCst), 1);
}

#[test]
fn a_key_that_cannot_work_is_refused_and_not_shown() {
    for (key, prefix, reason) in [
        (" \n", "", "the key is empty"),
        ("hush", "sk-", "the key does not begin with \"sk-\""),
        (
            "hu\nsh",
            "",
            "the key has characters that cannot stand in a header",
        ),
        (
            "hüsh",
            "",
            "the key has characters that cannot stand in a header",
        ),
    ] {
        assert_eq!(
            Credential::key_with_prefix(key, prefix)
                .unwrap_err()
                .reason(),
            reason
        );
    }
}

#[test]
fn a_style_whose_prefix_cannot_stand_in_a_header_is_refused() {
    let style = Style::Header {
        name: HeaderName::from_static("x-token"),
        prefix: "Token\n".into(),
    };
    for credential in [Credential::key("sk-hush").unwrap(), Credential::caller()] {
        let error = upstream(credential.style(style.clone()))
            .build()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "credential: the style's prefix has characters that cannot stand in a header"
        );
    }
}

#[test]
fn an_upstream_needs_a_name_and_an_address() {
    let nameless = UpstreamLayer::builder("").base_url("http://x.test");
    assert_eq!(nameless.build().unwrap_err().field(), "name");
    assert_eq!(
        UpstreamLayer::builder("x").build().unwrap_err().to_string(),
        "base_url: is missing"
    );
}
