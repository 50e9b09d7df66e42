use std::{convert::Infallible, fs, path::Path, time::Duration};

use http::{HeaderMap, HeaderValue, Request, Response};
use tower::{Layer, ServiceExt, service_fn};

use super::{
    names::{KNOWN, full},
    *,
};
use crate::message::Served;

fn parse(json: &str) -> Result<HeaderNames, serde_json::Error> {
    serde_json::from_str(json)
}

/// The headers of an answer with all of this crate's and the caller's `asked`.
async fn answered(names: HeaderNames, asked: &[(&'static str, &str)]) -> (HeaderMap, HeaderMap) {
    let (told, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<()>| {
        let _ = told.send(request.headers().clone());
        async {
            tokio::time::sleep(Duration::from_millis(70)).await;
            let mut response = Response::new(());
            for ours in ["request-id", "model", "attempts"] {
                response
                    .headers_mut()
                    .insert(full(ours), HeaderValue::from_static("said"));
            }
            response
                .extensions_mut()
                .insert(Served::by("openai".into()));
            Ok::<_, Infallible>(response)
        }
    });
    let mut request = Request::new(());
    for (name, value) in asked {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let service = HeaderNamesLayer::new(names).layer(service);
    let response = service.oneshot(request).await.unwrap();
    (response.headers().clone(), seen.recv().await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_guides_names_stand_on_every_answer_of_an_upstream() {
    let (headers, _) = answered(HeaderNames::guide(), &[]).await;
    for (name, value) in [
        ("x-provider", "openai"),
        ("x-response-time-ms", "70"),
        ("x-auto-model", "said"),
        ("x-relay-request-id", "said"),
        ("x-relay-attempts", "said"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert_eq!(headers.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn names_of_ones_own_hold_in_both_directions() {
    let names =
        parse(r#"{"request-id": "x-request-id", "attempts": "", "model": "x-relay-attempts"}"#);
    let (headers, asked) = answered(names.unwrap(), &[("x-request-id", "mine")]).await;
    assert_eq!(
        (&headers["x-request-id"], &headers["x-relay-attempts"]),
        (&"said".parse().unwrap(), &"said".parse().unwrap())
    );
    assert_eq!(headers.len(), 2);
    assert_eq!(asked["x-relay-request-id"], "mine");
    assert!(!asked.contains_key("x-request-id"));

    let (headers, _) = answered(HeaderNames::none(), &[]).await;
    assert!(headers.is_empty(), "{headers:?}");
    let (headers, _) = answered(HeaderNames::relay(), &[]).await;
    assert_eq!(headers.len(), 3);
}

#[test]
fn what_is_no_name_or_names_nothing_is_refused() {
    for (json, reason) in [
        (r#"{"modle": "x-model"}"#, "known are request-id"),
        (r#"{"model": "no name"}"#, "not the name of a header"),
        (
            r#"{"model": "x-a", "upstream": "x-a"}"#,
            "the name of another",
        ),
        ("\"guides\"", "expected \"relay\", \"guide\""),
    ] {
        let error = parse(json).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!(parse("\"guide\"").unwrap(), HeaderNames::guide());
    assert_eq!(HeaderNames::relay().all().len(), KNOWN.len());
    assert_eq!(HeaderNames::guide().all().len(), KNOWN.len() + 1);
    assert_eq!(HeaderNames::none().all().len(), 0);
}

#[test]
fn every_header_that_this_crate_puts_on_answers_is_known() {
    fn names(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let starts = text.split("HeaderName::from_static(\"x-relay-").skip(1);
                found.extend(starts.map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
        }
    }
    let mut found = Vec::new();
    names(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    assert!(found.len() >= KNOWN.len() - 1, "{found:?}");
    // A copy carries it, and no answer.
    found.retain(|name| name != "shadow");
    for name in found {
        assert!(
            KNOWN.contains(&name.as_str()),
            "x-relay-{name} is not known here"
        );
    }
}
