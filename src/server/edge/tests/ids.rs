use super::*;
use crate::{
    message::RequestId,
    testing::{answering, echo},
};

const ID: &str = "x-relay-request-id";

/// The id that the service saw, in the answer's body.
fn tell(request: &Request<RequestBody>) -> Response<ResponseBody> {
    let id = request
        .extensions()
        .get::<RequestId>()
        .map(ToString::to_string);
    Response::new(ResponseBody::from(id.unwrap_or_default()))
}

#[tokio::test]
async fn a_callers_id_is_taken_over_where_it_is_one() {
    let layer = EdgeLayer::default();
    for (given, taken) in [
        ("req-7", true),
        ("two words", false),
        ("\u{7f}", false),
        ("", false),
    ] {
        let Ok(request) = chat().header(ID, given).body("{}".to_owned()) else {
            continue;
        };
        let response = send(&layer, answering(|request| tell(&request)), request).await;
        let id = response.headers()[ID].to_str().unwrap().to_owned();
        assert_eq!(id == given, taken, "{given:?} became {id:?}");
        assert_eq!(crate::testing::read(response).await.1, id);
    }
}

#[tokio::test]
async fn requests_without_an_id_get_one_each() {
    let layer = EdgeLayer::default();
    let mut ids = Vec::new();
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let request = Request::post(path).body("{}".to_owned()).unwrap();
        ids.push(
            send(&layer, answering(|request| tell(&request)), request)
                .await
                .headers()[ID]
                .clone(),
        );
    }
    let models = Request::get("/v1/models").body(String::new()).unwrap();
    ids.push(
        send(&layer, answering(|request| tell(&request)), models)
            .await
            .headers()[ID]
            .clone(),
    );
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
}

#[tokio::test]
async fn an_id_that_an_upstream_answered_with_is_replaced() {
    let layer = EdgeLayer::default();
    let service = answering(|request| {
        let mut response = echo(request);
        response.headers_mut().insert(ID, "theirs".parse().unwrap());
        response
    });
    let request = chat().header(ID, "mine").body("{}".to_owned()).unwrap();
    let response = send(&layer, service, request).await;
    assert_eq!(
        response.headers().get_all(ID).iter().collect::<Vec<_>>(),
        ["mine"]
    );
}

#[tokio::test]
async fn a_refusal_carries_the_id() {
    let layer = EdgeLayer::builder().max_body(1).build().unwrap();
    let request = chat().header(ID, "mine").body("{}".to_owned()).unwrap();
    let response = send(&layer, answering(|request| tell(&request)), request).await;
    assert_eq!(response.status(), 413);
    assert_eq!(response.headers()[ID], "mine");
}
